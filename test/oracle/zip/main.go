// Command zip tells what Go's own code makes of module zips: one JSON question a line in, one JSON answer a line out.
package main

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"io"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"
)

type question struct {
	Op string // verdict, hash, hash1, fold or time

	Path, Version string // verdict
	Zip           string // verdict: the zip in base64; or
	File          string // verdict, hash: its file

	Names, Contents []string // hash1: contents in base64

	Files   []string // time
	Threads int
}

type answer struct {
	Check    string    `json:"check"` // CheckZip's error, or empty
	Unzip    string    `json:"unzip"` // Unzip's error, or empty
	Hash     string    `json:"hash"`  // HashZip's or Hash1's error, or empty
	H1       string    `json:"h1"`
	Folds    [][2]rune `json:"folds,omitempty"` // each letter that folds, and the least of its orbit
	Nanos    int64     `json:"nanos,omitempty"`
	CPUNanos int64     `json:"cpuNanos,omitempty"`
}

func main() {
	log.SetFlags(0)
	temporary, err := os.MkdirTemp("", "zip-oracle")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(temporary)
	questions := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := bufio.NewWriter(os.Stdout)
	answers := json.NewEncoder(out)
	for {
		var q question
		if err := questions.Decode(&q); err == io.EOF {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(reply(q, temporary)); err != nil {
			log.Fatal(err)
		}
		out.Flush()
	}
}

func reply(q question, temporary string) (a answer) {
	switch q.Op {
	case "verdict":
		file := q.File
		if file == "" {
			file = filepath.Join(temporary, "a.zip")
			if err := os.WriteFile(file, decode(q.Zip), 0o666); err != nil {
				log.Fatal(err)
			}
		}
		m := module.Version{Path: q.Path, Version: q.Version}
		_, err := zip.CheckZip(m, file)
		a.Check = text(err)
		dir := filepath.Join(temporary, "unzipped")
		a.Unzip = text(zip.Unzip(dir, m, file))
		os.RemoveAll(dir)
		a.H1, err = dirhash.HashZip(file, dirhash.Hash1)
		a.Hash = text(err)
	case "hash":
		h1, err := dirhash.HashZip(q.File, dirhash.Hash1)
		a.H1, a.Hash = h1, text(err)
	case "hash1":
		contents := map[string]string{}
		for i, name := range q.Names {
			contents[name] = string(decode(q.Contents[i]))
		}
		h1, err := dirhash.Hash1(q.Names, func(name string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(contents[name])), nil
		})
		a.H1, a.Hash = h1, text(err)
	case "fold":
		for r := rune(0); r <= unicode.MaxRune; r++ {
			least := r
			for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
				least = min(least, f)
			}
			if least != r && unicode.IsLetter(r) {
				a.Folds = append(a.Folds, [2]rune{r, least})
			}
		}
	case "time":
		runtime.GOMAXPROCS(q.Threads)
		before := cpuTime()
		a.Nanos = hashAll(q.Files, q.Threads).Nanoseconds()
		a.CPUNanos = cpuTime() - before
	default:
		log.Fatalf("unknown question %q", q.Op)
	}
	return a
}

func hashAll(files []string, threads int) time.Duration {
	start := time.Now()
	queue := make(chan string, len(files))
	for _, file := range files {
		queue <- file
	}
	close(queue)
	var workers sync.WaitGroup
	for range make([]struct{}, threads) {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for file := range queue {
				if _, err := dirhash.HashZip(file, dirhash.Hash1); err != nil {
					log.Fatal(err)
				}
			}
		}()
	}
	workers.Wait()
	return time.Since(start)
}

// cpuTime is what this process has used of all cores, in nanoseconds.
func cpuTime() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

func decode(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		log.Fatal(err)
	}
	return b
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
