package main

import (
	"errors"
	"io"
	"os"

	"github.com/hashicorp/go-hclog"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform/service"
)

// logger writes text or JSON. Under systemd the journal has the time already,
// and takes the level from the beginning of a line. A service of Windows has no
// standard error: it writes text to the event log, which has time and level.
func (c *loaded) logger(w io.Writer) hclog.Logger {
	events, err := service.EventLog(c.instance.service)
	journal := os.Getenv("JOURNAL_STREAM") != "" && c.Log.Format == "text"
	switch {
	case events != nil:
		w = eventWriter(events)
	case journal:
		w = journalWriter(w)
	}
	log := hclog.New(&hclog.LoggerOptions{
		Name:        "icinga-enroll",
		Level:       hclog.LevelFromString(c.Log.Level),
		JSONFormat:  c.Log.Format == "json" && events == nil,
		DisableTime: journal || events != nil,
		Output:      w,
	})
	if err != nil {
		log.Warn("logging to standard error", "error", err)
	}
	return log
}

// eventWriter makes an event of each line; debugging is information there.
func eventWriter(e *service.Events) io.Writer {
	return hclog.NewLeveledWriter(e.Info, map[hclog.Level]io.Writer{hclog.Warn: e.Warning, hclog.Error: e.Error})
}

// journalWriter puts the priorities of syslog(3) before each line, as sd-daemon(3) says.
func journalWriter(w io.Writer) io.Writer {
	priorities := map[hclog.Level]string{hclog.Debug: "<7>", hclog.Info: "<6>", hclog.Warn: "<4>", hclog.Error: "<3>"}
	writers := map[hclog.Level]io.Writer{}
	for level, prefix := range priorities {
		writers[level] = prefixed{w, prefix}
	}
	return hclog.NewLeveledWriter(w, writers)
}

type prefixed struct {
	w      io.Writer
	prefix string
}

func (p prefixed) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// news logs the steps of one run after the other. What was said already isn't
// said again until it has changed: a quiet daemon writes nothing.
type news struct {
	log      hclog.Logger
	instance instance          // whose commands the lines are to name
	said     map[string]string // by step
}

func newNews(log hclog.Logger) *news { return &news{log: log, said: map[string]string{}} }

func (n *news) step(s enroll.Step) {
	text := n.instance.own(oneLine(s.Text))
	if text == "" {
		return
	}
	level := hclog.Debug
	switch {
	case s.Warning:
		level = hclog.Warn
	case s.Changed:
		level = hclog.Info
	}
	if n.said[s.Name] == text {
		level = hclog.Debug
	}
	n.said[s.Name] = text
	n.log.Log(level, s.Name+": "+text)
}

// forget has the next word of a step logged, whatever was said before.
func (n *news) forget(step string) { delete(n.said, step) }

// failure logs an error once, however often it comes back, and its end. That of
// a step that could wait has been said already.
func (n *news) failure(err error, said bool) {
	const key = "error"
	switch {
	case err == nil && n.said[key] == "":
		return
	case err == nil:
		n.log.Info("all is well again")
		delete(n.said, key)
		return
	}
	text, level := "failed: "+n.instance.own(oneLine(err.Error())), hclog.Error
	switch {
	case errors.Is(err, pki.ErrPending):
		text, level = "waiting: "+oneLine(err.Error()), hclog.Warn
	case enroll.IsTemporary(err):
		level = hclog.Warn
	}
	if said || n.said[key] == text {
		level = hclog.Debug
	}
	n.said[key] = text
	n.log.Log(level, text)
}
