package service

// hasBooted is false in an image or a container in which systemd is only
// installed: what is enabled there starts nothing.
func (s systemd) hasBooted() bool { return s.booted }
