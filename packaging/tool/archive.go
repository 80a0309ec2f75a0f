package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// archive packs a folder, which is the archive's own, into a .zip or a .tar.gz.
func archive(file, folder string) error {
	at, err := builtAt()
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	if strings.HasSuffix(file, ".zip") {
		err = intoZip(out, folder, at)
	} else {
		err = intoTar(out, folder, at)
	}
	return errors.Join(err, out.Close())
}

// each calls do for the files of a folder, in the order of their names.
func each(folder string, do func(name string, data []byte, mode fs.FileMode) error) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // G122: a folder that the build has just made
		if err != nil {
			return err
		}
		name, err := filepath.Rel(filepath.Dir(folder), path)
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o644)
		if info.Mode()&0o100 != 0 {
			mode = 0o755
		}
		return do(filepath.ToSlash(name), data, mode)
	})
}

func intoTar(out *os.File, folder string, at time.Time) error {
	zipped, err := gzip.NewWriterLevel(out, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(zipped)
	err = each(folder, func(name string, data []byte, mode fs.FileMode) error {
		err := w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: int64(mode), ModTime: at, Uname: "root", Gname: "root"})
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return errors.Join(err, w.Close(), zipped.Close())
}

func intoZip(out *os.File, folder string, at time.Time) error {
	w := zip.NewWriter(out)
	err := each(folder, func(name string, data []byte, mode fs.FileMode) error {
		header := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at}
		header.SetMode(mode)
		f, err := w.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return err
	})
	return errors.Join(err, w.Close())
}
