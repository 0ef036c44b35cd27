package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
)

// goSum returns a version's two go.sum lines, computed from its .mod and .zip. A version that is there as
// .mod alone gets a made-up zip hash: a record always has two lines, and no zip can contradict it.
func (t *tree) goSum(path, version string) ([]byte, error) {
	escapedPath, err := module.EscapePath(path)
	if err != nil {
		return nil, err
	}
	escapedVersion, err := module.EscapeVersion(version)
	if err != nil {
		return nil, err
	}
	prefix := escapedPath + "/@v/" + escapedVersion
	modHash, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return t.open(prefix + ".mod")
	})
	if err != nil {
		return nil, os.ErrNotExist
	}
	zipHash := madeUpHash(path, version)
	if f, err := t.open(prefix + ".zip"); err == nil {
		f.Close()
		if zipHash, err = t.hashes.of(f.Name()); err != nil {
			return nil, err
		}
	}
	return goSumLines(path, version, zipHash, modHash), nil
}

func goSumLines(path, version, zipHash, modHash string) []byte {
	return []byte(fmt.Sprintf("%s %s %s\n%s %s/go.mod %s\n", path, version, zipHash, path, version, modHash))
}

func madeUpHash(parts ...string) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts)))
	return "h1:" + base64.StdEncoding.EncodeToString(sum[:])
}

// zipHashes remembers the h1 of each zip between runs, as long as its size and time stay.
type zipHashes struct {
	file  string // "": not kept
	mu    sync.Mutex
	dirty bool
	known map[string]zipHash
}

type zipHash struct {
	Size int64
	Time time.Time
	H1   string
}

func loadZipHashes(file string) *zipHashes {
	h := &zipHashes{file: file, known: map[string]zipHash{}}
	// A missing or broken file only costs the time to hash again.
	if data, err := os.ReadFile(file); err == nil && json.Unmarshal(data, &h.known) != nil {
		h.known = map[string]zipHash{}
	}
	return h
}

func (h *zipHashes) of(zip string) (string, error) {
	stat, err := os.Stat(zip)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	known := h.known[zip]
	h.mu.Unlock()
	if known.Size == stat.Size() && known.Time.Equal(stat.ModTime()) {
		return known.H1, nil
	}
	h1, err := dirhash.HashZip(zip, dirhash.Hash1)
	if err != nil {
		return "", err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[zip] = zipHash{stat.Size(), stat.ModTime(), h1}
	h.dirty = true
	return h1, nil
}

// save replaces the file at one stroke; of two upstreams that end together the later one's file stays.
func (h *zipHashes) save() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file == "" || !h.dirty {
		return nil
	}
	data, err := json.Marshal(h.known)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(h.file), "zip-hashes-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	h.dirty = false
	return os.Rename(f.Name(), h.file)
}
