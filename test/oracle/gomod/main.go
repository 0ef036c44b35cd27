// The oracle of modferry's tests of gomod/: answers questions from golang.org/x/mod and the standard library.
// One JSON array a line on stdin, the operation first, then its arguments; one JSON value a line on stdout.
// File contents come in base64: they need not be UTF-8.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

var operations = map[string]func(args []string) any{}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for lines.Scan() {
		var question []string
		if err := json.Unmarshal(lines.Bytes(), &question); err != nil {
			fatal(err)
		}
		operation := operations[question[0]]
		if operation == nil {
			fatal(fmt.Errorf("unknown operation %q", question[0]))
		}
		if err := answers.Encode(operation(question[1:])); err != nil {
			fatal(err)
		}
	}
	if err := lines.Err(); err != nil {
		fatal(err)
	}
}

// bytes asks another operation with arguments in base64: text that need not be UTF-8.
func init() {
	operations["bytes"] = func(args []string) any {
		decoded := []string{}
		for _, arg := range args[1:] {
			decoded = append(decoded, string(bytesOf(arg)))
		}
		return operations[args[0]](decoded)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "oracle:", err)
	os.Exit(1)
}

// outcome is a value, or the text of an error.
type outcome struct {
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

func either(value any, err error) outcome {
	if err != nil {
		return outcome{Error: err.Error()}
	}
	return outcome{Value: value}
}
