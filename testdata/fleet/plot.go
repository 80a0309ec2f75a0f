package fleet

import (
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// point is one of a line.
type point = plotter.XY

// line is one in a picture.
type line struct {
	name   string
	points []point
}

// picture is a plot of lines over the same axes.
type picture struct {
	title, x, y string
	most        float64 // of y; 0: as it comes
	lines       []line
}

// save writes SVG.
func (p picture) save(file string) error {
	graph := plot.New()
	graph.Title.Text, graph.X.Label.Text, graph.Y.Label.Text = p.title, p.x, p.y
	graph.Legend.Top = true
	graph.Add(plotter.NewGrid())
	for i, l := range p.lines {
		drawn, err := plotter.NewLine(plotter.XYs(l.points))
		if err != nil {
			return err
		}
		drawn.Color = plotutil.Color(i)
		graph.Add(drawn)
		graph.Legend.Add(l.name, drawn)
	}
	graph.Y.Min = 0
	if p.most > 0 {
		graph.Y.Max = p.most
	}
	return graph.Save(24*vg.Centimeter, 12*vg.Centimeter, file)
}
