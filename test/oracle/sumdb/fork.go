package main

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// checkFork checks a report of a fork as somebody does who has nothing but the report and the database's key.
func checkFork(req *request) (any, error) {
	text, ok := strings.CutPrefix(string(req.Bytes),
		"SECURITY ERROR\ngo.sum database server misbehavior detected!\n\nold database:\n\t")
	if !ok {
		return nil, errors.New("no report of a fork")
	}
	old, text, ok := strings.Cut(text, "\nnew database:\n\t")
	if !ok {
		return nil, errors.New("no newer note")
	}
	now, text, ok := strings.Cut(text, "\nproof of misbehavior:\n\t")
	if !ok {
		return nil, errors.New("no proof")
	}
	older, err := openTree(old, req.Text)
	if err != nil {
		return nil, fmt.Errorf("older note: %w", err)
	}
	newer, err := openTree(now, req.Text)
	if err != nil {
		return nil, fmt.Errorf("newer note: %w", err)
	}
	var hashes []tlog.Hash
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n\t") {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, fmt.Errorf("proof: %w", err)
		}
		hashes = append(hashes, hash)
	}
	if err := tlog.CheckTree(hashes[1:], newer.N, newer.Hash, older.N, hashes[0]); err != nil {
		return nil, err
	}
	return map[string]any{"older": older.N, "newer": newer.N, "forked": hashes[0] != older.Hash}, nil
}

func openTree(indented, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open([]byte(strings.ReplaceAll(indented, "\n\t", "\n")), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	return tlog.ParseTree([]byte(opened.Text))
}
