package main

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"
)

// Module zips as x/mod/zip makes them.
func init() {
	operations["zipTestdata"] = func(args []string) any {
		names, err := filepath.Glob(filepath.Join(moduleDir(), "zip/testdata", args[0], "*.txt"))
		if err != nil || len(names) == 0 {
			fatal(err)
		}
		files := []any{}
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				fatal(err)
			}
			files = append(files, []any{filepath.Base(name), data})
		}
		return files
	}
	operations["checkDir"] = func(args []string) any {
		cf, err := modzip.CheckDir(args[0])
		return checked(cf, err)
	}
	operations["checkFiles"] = func(args []string) any {
		cf, err := modzip.CheckFiles(fileList(args[0]))
		return checked(cf, err)
	}
	operations["create"] = func(args []string) any {
		return created(func(w io.Writer, m module.Version) error { return modzip.Create(w, m, fileList(args[2])) }, args)
	}
	operations["createFromDir"] = func(args []string) any {
		return created(func(w io.Writer, m module.Version) error { return modzip.CreateFromDir(w, m, args[2]) }, args)
	}
	operations["createFromVCS"] = func(args []string) any {
		return created(func(w io.Writer, m module.Version) error {
			return modzip.CreateFromVCS(w, m, args[2], args[3], args[4])
		}, args)
	}
	// zipContent lists what a module zip holds, and what CheckZip and HashZip say of it.
	operations["zipContent"] = func(args []string) any {
		data, err := os.ReadFile(args[2])
		if err != nil {
			fatal(err)
		}
		_, err = modzip.CheckZip(module.Version{Path: args[0], Version: args[1]}, args[2])
		return content(data, err)
	}
}

func created(create func(io.Writer, module.Version) error, args []string) any {
	var buffer bytes.Buffer
	if err := create(&buffer, module.Version{Path: args[0], Version: args[1]}); err != nil {
		return object{"error": err.Error(), "h1": "", "files": []string{}}
	}
	return content(buffer.Bytes(), nil)
}

func content(data []byte, err error) any {
	files := []string{}
	reader, readErr := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if readErr != nil {
		return object{"error": readErr.Error(), "h1": "", "files": files}
	}
	open := map[string]*zip.File{}
	for _, f := range reader.File {
		files = append(files, f.Name)
		open[f.Name] = f
		if f.NonUTF8 {
			err = fmt.Errorf("%s: not marked as UTF-8", f.Name)
		}
	}
	h1, hashErr := dirhash.Hash1(files, func(name string) (io.ReadCloser, error) { return open[name].Open() })
	if err == nil {
		err = hashErr
	}
	return object{"error": text(err), "h1": h1, "files": files}
}

func checked(cf modzip.CheckedFiles, err error) any {
	valid := cf.Valid
	if valid == nil {
		valid = []string{}
	}
	sizeError := ""
	if cf.SizeError != nil {
		sizeError = cf.SizeError.Error()
	}
	return object{
		"valid": valid, "omitted": problems(cf.Omitted), "invalid": problems(cf.Invalid),
		"sizeProblem": sizeError, "error": text(err),
	}
}

func problems(list []modzip.FileError) []any {
	found := []any{}
	for _, e := range list {
		found = append(found, object{"path": e.Path, "problem": e.Err.Error()})
	}
	return found
}

// listedFile is a file of a list that is nowhere but in the question.
type listedFile struct {
	Name string // base64
	Kind string
	Len  int64
	Data string // base64; without it zeros
}

func fileList(question string) []modzip.File {
	var listed []listedFile
	if err := json.Unmarshal([]byte(question), &listed); err != nil {
		fatal(err)
	}
	files := []modzip.File{}
	for _, f := range listed {
		name, err := base64.StdEncoding.DecodeString(f.Name)
		if err != nil {
			fatal(err)
		}
		f.Name = string(name)
		files = append(files, f)
	}
	return files
}

func (f listedFile) Path() string                { return f.Name }
func (f listedFile) Lstat() (os.FileInfo, error) { return listedInfo{f}, nil }
func (f listedFile) Open() (io.ReadCloser, error) {
	data, err := base64.StdEncoding.DecodeString(f.Data)
	return io.NopCloser(bytes.NewReader(data)), err
}

type listedInfo struct{ f listedFile }

func (i listedInfo) Name() string { return path.Base(i.f.Name) }
func (i listedInfo) Size() int64  { return i.f.Len }
func (i listedInfo) Mode() os.FileMode {
	return map[string]os.FileMode{
		"file": 0o644, "symlink": fs.ModeSymlink | 0o777, "directory": fs.ModeDir | 0o755, "other": fs.ModeNamedPipe,
	}[i.f.Kind]
}
func (i listedInfo) ModTime() time.Time { return time.Time{} }
func (i listedInfo) IsDir() bool        { return i.f.Kind == "directory" }
func (i listedInfo) Sys() any           { return nil }
