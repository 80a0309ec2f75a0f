//go:build !linux

package platform

func forgetProgram() {}
