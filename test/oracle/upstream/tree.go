package main

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// tree serves files from folders laid out as a GOPROXY. Lists and @latest are made from what is there
// whole: the go command's own cache keeps neither as a proxy would (its lists name what it has .mod of).
type tree struct {
	dirs   []string
	only   map[module.Version]bool // nil: all
	hashes *zipHashes
}

var contentTypes = map[string]string{
	".info": "application/json",
	".mod":  "text/plain; charset=UTF-8",
	".zip":  "application/zip",
}

func (t *tree) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if escaped, ok := strings.CutSuffix(name, "/@latest"); ok {
		t.serveLatest(w, escaped)
		return
	}
	escaped, file, ok := strings.Cut(name, "/@v/")
	if !ok {
		notFound(w, name)
		return
	}
	if file == "list" {
		t.serveList(w, escaped)
		return
	}
	m, err := unescape(escaped, strings.TrimSuffix(file, path.Ext(file)))
	if err != nil || contentTypes[path.Ext(file)] == "" || !t.visible(m, path.Ext(file)) {
		notFound(w, name)
		return
	}
	t.serveFile(w, name)
}

// visible: -modules hides what makes a version whole; the .mod of any version stays, for graphs read it.
func (t *tree) visible(m module.Version, extension string) bool {
	return t.only == nil || extension == ".mod" || t.only[m]
}

func (t *tree) serveFile(w http.ResponseWriter, name string) {
	f, err := t.open(name)
	if err != nil {
		notFound(w, name)
		return
	}
	defer f.Close()
	stat, err := f.Stat()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentTypes[path.Ext(name)])
	w.Header().Set("Content-Length", strconv.FormatInt(stat.Size(), 10))
	io.Copy(w, f)
}

func (t *tree) serveList(w http.ResponseWriter, escaped string) {
	versions := t.whole(escaped)
	if versions == nil {
		notFound(w, escaped)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	for _, version := range versions {
		if !module.IsPseudoVersion(version) {
			fmt.Fprintln(w, version)
		}
	}
}

// serveLatest answers the highest release, else the highest pre-release, else the highest pseudo-version.
func (t *tree) serveLatest(w http.ResponseWriter, escaped string) {
	latest, rank := "", -1
	for _, version := range t.whole(escaped) {
		r := 0
		if semver.Prerelease(version) == "" {
			r = 2
		} else if !module.IsPseudoVersion(version) {
			r = 1
		}
		if r >= rank {
			latest, rank = version, r
		}
	}
	escapedVersion, err := module.EscapeVersion(latest)
	if err != nil {
		notFound(w, escaped)
		return
	}
	t.serveFile(w, escaped+"/@v/"+escapedVersion+".info")
}

// whole returns the versions that have .info, .mod and .zip, lowest first; nil where no folder knows the module.
func (t *tree) whole(escaped string) []string {
	if _, err := module.UnescapePath(escaped); err != nil {
		return nil
	}
	found := map[string]bool{}
	known := false
	for _, dir := range t.dirs {
		entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(escaped), "@v"))
		if err != nil {
			continue
		}
		known = known || t.only == nil // what -modules hides altogether is unknown, not empty
		for _, entry := range entries {
			base, ok := strings.CutSuffix(entry.Name(), ".zip")
			m, err := unescape(escaped, base)
			if !ok || err != nil || !t.visible(m, ".zip") {
				continue
			}
			prefix := escaped + "/@v/" + base
			if t.has(prefix+".info") && t.has(prefix+".mod") {
				found[m.Version] = true
				known = true
			}
		}
	}
	if !known {
		return nil
	}
	versions := make([]string, 0, len(found))
	for version := range found {
		versions = append(versions, version)
	}
	semver.Sort(versions)
	return versions
}

// versions returns all that have a .mod (with -modules: those named there), by path and version.
func (t *tree) versions() ([]module.Version, error) {
	seen := map[module.Version]bool{}
	for _, dir := range t.dirs {
		err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			relative, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			escaped, file, _ := strings.Cut(filepath.ToSlash(relative), "/@v/")
			base, isMod := strings.CutSuffix(file, ".mod")
			m, err := unescape(escaped, base)
			if isMod && err == nil && (t.only == nil || t.only[m]) {
				seen[m] = true
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	list := make([]module.Version, 0, len(seen))
	for m := range seen {
		list = append(list, m)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].String() < list[j].String() })
	return list, nil
}

func (t *tree) open(name string) (*os.File, error) {
	for _, dir := range t.dirs {
		if f, err := os.Open(filepath.Join(dir, filepath.FromSlash(name))); err == nil {
			return f, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
}

func (t *tree) has(name string) bool {
	f, err := t.open(name)
	if err == nil {
		f.Close()
	}
	return err == nil
}

// unescape admits only canonical versions, and no path that could leave the folder.
func unescape(escapedPath, escapedVersion string) (module.Version, error) {
	path, err := module.UnescapePath(escapedPath)
	if err != nil {
		return module.Version{}, err
	}
	version, err := module.UnescapeVersion(escapedVersion)
	if err != nil {
		return module.Version{}, err
	}
	if module.CanonicalVersion(version) != version {
		return module.Version{}, fmt.Errorf("%s@%s: not a canonical version", path, version)
	}
	return module.Version{Path: path, Version: version}, nil
}

func notFound(w http.ResponseWriter, name string) {
	http.Error(w, "not found: "+name, http.StatusNotFound)
}
