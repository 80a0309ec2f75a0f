package platform

import "runtime/debug"

// ReturnMemory gives back to the operating system what this process doesn't
// need while it waits: the heap that a TLS handshake has left, and, where that
// can be told, the pages of the program itself that its start has touched.
func ReturnMemory() {
	debug.FreeOSMemory()
	forgetProgram()
}
