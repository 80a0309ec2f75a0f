package platform

import "io/fs"

// Foreign is always "": on Windows files get rights of their own.
func (d *Dir) Foreign(string) (account string, err error) { return "", nil }

func foreignOwner(fs.FileInfo) string { return "" }
