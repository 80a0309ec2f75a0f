package service

import "io"

// Events is Windows' event log, a writer for each kind of event. What is
// written at once is one event.
type Events struct{ Info, Warning, Error io.Writer }
