package main

import (
	"encoding/json"
	"net/http"
	"path"
	"strings"
	"sync"
)

// counts says how often each path, and each kind of file, was asked for, whatever the answer was.
type counts struct {
	mu    sync.Mutex
	Paths map[string]int `json:"paths"`
	Kinds map[string]int `json:"kinds"`
	// eachPath: else only kinds are counted.
	eachPath bool
}

func newCounts(eachPath bool) *counts {
	c := &counts{eachPath: eachPath}
	c.reset()
	return c
}

func (c *counts) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Paths, c.Kinds = map[string]int{}, map[string]int{}
}

func (c *counts) add(path, sumdbPrefix string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.eachPath {
		c.Paths[path]++
	}
	c.Kinds[kind(path, sumdbPrefix)]++
}

func (c *counts) write(w http.ResponseWriter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(c)
}

// kind is one of lookup, tile, head, supported; list, latest, info, mod, zip; other.
func kind(name, sumdbPrefix string) string {
	if rest, ok := strings.CutPrefix(name, sumdbPrefix+"/"); ok {
		switch first, _, _ := strings.Cut(rest, "/"); first {
		case "lookup", "tile", "supported":
			return first
		case "latest":
			return "head"
		}
		return "other"
	}
	if name == "/index" {
		return "index"
	}
	if strings.HasSuffix(name, "/@latest") {
		return "latest"
	}
	if strings.HasSuffix(name, "/@v/list") {
		return "list"
	}
	if strings.Contains(name, "/@v/") {
		switch extension := path.Ext(name); extension {
		case ".info", ".mod", ".zip":
			return extension[1:]
		}
	}
	return "other"
}
