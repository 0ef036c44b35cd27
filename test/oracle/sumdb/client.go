package main

import (
	"errors"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/mod/sumdb"
)

// offlineOps lets x/mod's real client run over a set of files, or over a private database: no cache on disk, like a
// go command after go clean -modcache; only the newest head that it has seen is kept.
type offlineOps struct {
	key      string
	files    map[string][]byte
	database *privateDatabase

	mu       sync.Mutex
	latest   []byte
	asked    []string
	security string
}

func (o *offlineOps) ReadRemote(path string) ([]byte, error) {
	o.mu.Lock()
	o.asked = append(o.asked, path)
	o.mu.Unlock()
	if o.database != nil {
		return o.database.read(path)
	}
	data, ok := o.files[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return data, nil
}

func (o *offlineOps) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(o.key), nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.latest, nil
}

func (o *offlineOps) WriteConfig(file string, old, new []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if string(old) != string(o.latest) {
		return sumdb.ErrWriteConflict
	}
	o.latest = new
	return nil
}

func (o *offlineOps) ReadCache(file string) ([]byte, error) { return nil, fs.ErrNotExist }
func (o *offlineOps) WriteCache(file string, data []byte)   {}
func (o *offlineOps) Log(msg string)                        {}
func (o *offlineOps) SecurityError(msg string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.security += msg
}

func (d *privateDatabase) read(path string) ([]byte, error) {
	reply, err := database(&request{Op: "get", DB: d.name(), Path: path})
	if err != nil {
		return nil, err
	}
	got := reply.(map[string]any)
	if got["status"] != 200 {
		return nil, errors.New(string(got["body"].([]byte)))
	}
	return got["body"].([]byte), nil
}

func (d *privateDatabase) name() string {
	for name, known := range databases {
		if known == d {
			return name
		}
	}
	return ""
}

type looked struct {
	Lines []string `json:"lines"`
	Error string   `json:"error,omitempty"`
}

// runClient looks the versions up one after the other with one client.
func runClient(req *request) (any, error) {
	ops := &offlineOps{key: req.Text, files: req.Files, latest: req.Latest, database: databases[req.DB]}
	if req.Tree != "" {
		ops.files = trees[req.Tree]
	}
	client := sumdb.NewClient(ops)
	var results []looked
	for _, version := range req.Versions {
		path, vers := splitVersion(version)
		lines, err := client.Lookup(path, vers)
		mod, err2 := client.Lookup(path, vers+"/go.mod")
		if err == nil {
			err = err2
		}
		result := looked{Lines: append(append([]string{}, lines...), mod...)}
		if err != nil {
			result.Error = err.Error()
		}
		results = append(results, result)
	}
	var tiles []string
	for _, path := range ops.asked {
		if strings.HasPrefix(path, "/tile/") {
			tiles = append(tiles, path)
		}
	}
	return map[string]any{
		"results": results, "latest": ops.latest, "tiles": tiles, "security": ops.security,
	}, nil
}
