package platform

// Guarded has nothing to say: the installer protects the folder of the
// configuration, and modes tell nothing here.
func Guarded(string) error { return nil }

// GuardedFolder has nothing to say either.
func GuardedFolder(string) error { return nil }
