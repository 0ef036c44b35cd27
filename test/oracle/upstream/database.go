package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/http"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// epochs is how many older heads -old-heads hands out: a shared cache showed 43 sizes in 986 lookups.
const epochs = 16

// database is a checksum database in memory (sumdb.ServerOps). It grows by a record whenever a version
// is looked up for the first time.
type database struct {
	name, vkey string
	signer     note.Signer
	goSum      func(path, version string) ([]byte, error)
	oldHeads   bool

	mu      sync.Mutex
	hashes  storedHashes
	records [][]byte
	ids     map[module.Version]int64
	heads   map[int64][]byte         // signed heads by size
	old     []int64                  // sizes of the older heads, ascending
	served  map[module.Version]int64 // the head that a cached lookup stays with
	made    int64                    // synthetic records so far
}

// storedHashes is a tlog.HashReader over a tree's hashes in storage order.
type storedHashes []tlog.Hash

func (h storedHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(h)) {
			return nil, fs.ErrNotExist // a tile beyond the head is 404
		}
		list[i] = h[index]
	}
	return list, nil
}

func newDatabase(name, seed string, oldHeads bool, goSum func(path, version string) ([]byte, error)) (*database, error) {
	entropy := sha256.Sum256([]byte(seed))
	if seed == "" {
		if _, err := rand.Read(entropy[:]); err != nil {
			return nil, err
		}
	}
	key := ed25519.NewKeyFromSeed(entropy[:])
	vkey, err := note.NewEd25519VerifierKey(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	// A signer key repeats the verifier key's name and hash; 1 is note's algorithm byte for Ed25519.
	// The base64 part of a verifier key may hold a "+" of its own, the name and the hash may not.
	parts := strings.SplitN(vkey, "+", 3)
	skey := "PRIVATE+KEY+" + parts[0] + "+" + parts[1] + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, entropy[:]...))
	signer, err := note.NewSigner(skey)
	if err != nil {
		return nil, err
	}
	return &database{
		name: name, vkey: vkey, signer: signer, goSum: goSum, oldHeads: oldHeads,
		ids:    map[module.Version]int64{},
		heads:  map[int64][]byte{},
		served: map[module.Version]int64{},
	}, nil
}

// fill records the versions given, spread evenly among the synthetic ones, as a large database has them.
func (d *database) fill(present []module.Version, synthetic int64) error {
	texts := make([][]byte, len(present))
	failures := make([]error, len(present))
	var wait sync.WaitGroup
	free := make(chan bool, runtime.NumCPU())
	for i := range present {
		wait.Add(1)
		free <- true
		go func(i int) {
			defer wait.Done()
			texts[i], failures[i] = d.goSum(present[i].Path, present[i].Version)
			<-free
		}(i)
	}
	wait.Wait()
	for i, m := range present {
		if failures[i] != nil {
			return fmt.Errorf("%s: %w", m, failures[i])
		}
		d.grow(synthetic*int64(i+1)/int64(len(present)+1) - d.made)
		d.mu.Lock()
		d.append(m, texts[i])
		d.mu.Unlock()
	}
	d.grow(synthetic - d.made)
	if size := int64(len(d.records)); d.oldHeads {
		for epoch := int64(1); epoch <= epochs; epoch++ {
			d.old = append(d.old, size*epoch/epochs)
		}
	}
	return nil
}

// grow appends n synthetic records.
func (d *database) grow(n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for ; n > 0; n-- {
		m := module.Version{Path: fmt.Sprintf("synthetic.example.test/m%d", d.made), Version: "v1.0.0"}
		d.append(m, goSumLines(m.Path, m.Version, madeUpHash(m.Path), madeUpHash(m.Path, "go.mod")))
		d.made++
	}
}

// append adds a record; the caller holds the lock.
func (d *database) append(m module.Version, text []byte) int64 {
	id := int64(len(d.records))
	hashes, err := tlog.StoredHashes(id, text, d.hashes)
	if err != nil {
		panic(err) // the reader holds every hash of the tree
	}
	d.hashes = append(d.hashes, hashes...)
	d.records = append(d.records, text)
	d.ids[m] = id
	return id
}

// lookupKey is where a request keeps the module that Lookup was asked for, so that Signed can choose its head.
type lookupKey struct{}

func withLookup(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), lookupKey{}, new(module.Version))))
	})
}

func (d *database) Lookup(ctx context.Context, m module.Version) (int64, error) {
	if asked, ok := ctx.Value(lookupKey{}).(*module.Version); ok {
		*asked = m
	}
	d.mu.Lock()
	id, ok := d.ids[m]
	d.mu.Unlock()
	if ok {
		return id, nil
	}
	text, err := d.goSum(m.Path, m.Version)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, ok := d.ids[m]; ok {
		return id, nil // another request was quicker
	}
	return d.append(m, text), nil
}

func (d *database) Signed(ctx context.Context) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	size := int64(len(d.records))
	if asked, ok := ctx.Value(lookupKey{}).(*module.Version); ok && asked.Path != "" && d.oldHeads {
		if _, ok := d.served[*asked]; !ok {
			d.served[*asked] = d.oldSize(*asked)
		}
		size = d.served[*asked]
	}
	if head, ok := d.heads[size]; ok {
		return head, nil
	}
	hash, err := tlog.TreeHash(size, d.hashes)
	if err != nil {
		return nil, err
	}
	head, err := note.Sign(&note.Note{Text: string(tlog.FormatTree(tlog.Tree{N: size, Hash: hash}))}, d.signer)
	if err != nil {
		return nil, err
	}
	d.heads[size] = head
	return head, nil
}

// oldSize chooses, by the module's name, one of the heads that hold its record.
func (d *database) oldSize(m module.Version) int64 {
	sizes := []int64{int64(len(d.records))}
	for _, size := range d.old {
		if size > d.ids[m] {
			sizes = append(sizes, size)
		}
	}
	hash := fnv.New32a()
	hash.Write([]byte(m.String()))
	return sizes[hash.Sum32()%uint32(len(sizes))]
}

func (d *database) ReadRecords(ctx context.Context, id, n int64) ([][]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id < 0 || id+n > int64(len(d.records)) {
		return nil, fs.ErrNotExist
	}
	return d.records[id : id+n], nil
}

func (d *database) ReadTileData(ctx context.Context, tile tlog.Tile) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return tlog.ReadTileData(tile, d.hashes)
}
