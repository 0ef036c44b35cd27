// Command sumdb answers questions about the checksum database with golang.org/x/mod itself: the oracle of the tests
// in test/sumdb. One JSON request a line on standard input, one JSON reply a line on standard output; bytes in base64.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type request struct {
	Op       string            `json:"op"`
	Text     string            `json:"text"`
	Bytes    []byte            `json:"bytes"`
	Keys     []string          `json:"keys"`
	ID       int64             `json:"id"`
	Size     int64             `json:"size"`
	OldSize  int64             `json:"oldSize"`
	Sizes    []int64           `json:"sizes"`
	Indexes  []int64           `json:"indexes"`
	DB       string            `json:"db"`
	Path     string            `json:"path"`
	Salt     string            `json:"salt"`
	Latest   []byte            `json:"latest"`
	Files    map[string][]byte `json:"files"`
	Versions []string          `json:"versions"`
	Tree     string            `json:"tree"`
}

// trees are sets of files that clients are run over, by name.
var trees = map[string]map[string][]byte{}

func main() {
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var req request
		if err := json.Unmarshal(line, &req); err != nil {
			out.Encode(map[string]any{"error": err.Error()})
			continue
		}
		reply, err := answer(&req)
		if err != nil {
			out.Encode(map[string]any{"error": err.Error()})
			continue
		}
		out.Encode(map[string]any{"reply": reply})
	}
}

func answer(req *request) (any, error) {
	switch req.Op {
	case "generateKey":
		skey, vkey, err := note.GenerateKey(nil, req.Text)
		return map[string]string{"signer": skey, "verifier": vkey}, err
	case "newVerifier":
		v, err := note.NewVerifier(req.Text)
		if err != nil {
			return nil, err
		}
		return map[string]any{"name": v.Name(), "keyHash": v.KeyHash()}, nil
	case "newSigner":
		s, err := note.NewSigner(req.Text)
		if err != nil {
			return nil, err
		}
		return map[string]any{"name": s.Name(), "keyHash": s.KeyHash()}, nil
	case "open":
		return open(req)
	case "sign":
		return sign(req)
	case "parseTree":
		tree, err := tlog.ParseTree(req.Bytes)
		return map[string]any{"size": tree.N, "hash": tree.Hash}, err
	case "formatTree":
		var hash tlog.Hash
		copy(hash[:], req.Bytes)
		return string(tlog.FormatTree(tlog.Tree{N: req.Size, Hash: hash})), nil
	case "parseRecord":
		id, text, rest, err := tlog.ParseRecord(req.Bytes)
		return map[string]any{"id": id, "text": string(text), "rest": rest}, err
	case "formatRecord":
		return tlog.FormatRecord(req.ID, []byte(req.Text))
	case "parseTilePath":
		tile, err := tlog.ParseTilePath(req.Path)
		return map[string]any{"height": tile.H, "level": tile.L, "index": tile.N, "width": tile.W}, err
	case "indexes":
		return indexes(req), nil
	case "newTiles":
		return paths(tlog.NewTiles(8, req.OldSize, req.Size)), nil
	case "newDatabase", "grow", "get", "hashes", "treeHashes", "proveRecord", "proveTree":
		return database(req)
	case "tree":
		trees[req.Path] = req.Files
		return nil, nil
	case "checkFork":
		return checkFork(req)
	case "client":
		return runClient(req)
	}
	return nil, fmt.Errorf("unknown op %q", req.Op)
}

func open(req *request) (any, error) {
	var list []note.Verifier
	for _, key := range req.Keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	n, err := note.Open(req.Bytes, note.VerifierList(list...))
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	if errors.As(err, &unverified) || errors.As(err, &invalid) {
		return map[string]any{"fault": "signature"}, nil
	}
	if err != nil {
		return nil, err
	}
	lines := func(sigs []note.Signature) []string {
		out := []string{}
		for _, s := range sigs {
			out = append(out, fmt.Sprintf("%s %d %s", s.Name, s.Hash, s.Base64))
		}
		return out
	}
	return map[string]any{"text": n.Text, "sigs": lines(n.Sigs), "unverifiedSigs": lines(n.UnverifiedSigs)}, nil
}

func sign(req *request) (any, error) {
	var list []note.Signer
	for _, key := range req.Keys {
		s, err := note.NewSigner(key)
		if err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return note.Sign(&note.Note{Text: req.Text}, list...)
}

// indexes tells of each stored hash index its level, number and narrowest tile.
func indexes(req *request) any {
	var out []map[string]any
	for _, x := range req.Indexes {
		level, n := tlog.SplitStoredHashIndex(x)
		out = append(out, map[string]any{
			"level": level, "n": n, "index": tlog.StoredHashIndex(level, n), "tile": tlog.TileForIndex(8, x).Path(),
		})
	}
	return out
}

func paths(tiles []tlog.Tile) []string {
	out := []string{}
	for _, tile := range tiles {
		out = append(out, tile.Path())
	}
	return out
}

// splitVersion parts "path@version".
func splitVersion(text string) (path, version string) {
	path, version, _ = strings.Cut(text, "@")
	return path, version
}
