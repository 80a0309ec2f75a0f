// Command floor enrols hosts at the lab with a bare client, one after the other,
// and prints how many milliseconds each took: what the servers alone need.
// usage: ENROLL_LAB=…/lab.json floor NAME...
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"icinga-enroll/testdata/fleet/floor"
)

func main() {
	lab, err := floor.ReadLab()
	if err != nil {
		log.Fatal(err)
	}
	client, err := lab.Client()
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range os.Args[1:] {
		start := time.Now()
		if err := client.Enrol(name); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%.1f\n", time.Since(start).Seconds()*1e3)
	}
}
