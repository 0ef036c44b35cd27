// The oracle of what only the go command itself has: built as a part of cmd/go, by overlay, so that its internal
// packages can be asked. One JSON array a line on stdin, the operation first, then its arguments in base64; one JSON
// value a line on stdout.
package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"log"
	"os"
	"sort"
	"strings"

	"cmd/go/internal/auth"
	"cmd/go/internal/base"
	"cmd/go/internal/gover"
	"cmd/go/internal/modfetch"
)

type outcome struct {
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

// fatal is what base.Fatalf ends in here, instead of in os.Exit.
type fatal struct{}

func main() {
	base.AtExit(func() { panic(fatal{}) })
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 64<<20)
	out := bufio.NewWriter(os.Stdout)
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for lines.Scan() {
		var question []string
		if err := json.Unmarshal(lines.Bytes(), &question); err != nil {
			panic(err)
		}
		args := []string{}
		for _, encoded := range question[1:] {
			arg, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				panic(err)
			}
			args = append(args, string(arg))
		}
		if err := answers.Encode(reply(question[0], args)); err != nil {
			panic(err)
		}
	}
	out.Flush()
}

func reply(operation string, args []string) (answer any) {
	switch operation {
	case "goSum":
		return goSum([]byte(args[0]))
	case "gover":
		return []any{gover.IsValid(args[0]), gover.Compare(args[0], args[1])}
	case "netrc":
		return auth.OracleNetrc(args[0], args[1:])
	}
	panic("unknown operation " + operation)
}

// goSum gives the lines kept, `path version hash`, sorted by bytes.
func goSum(data []byte) (answer outcome) {
	var said bytes.Buffer
	log.SetFlags(0)
	log.SetOutput(&said)
	defer func() {
		if problem := recover(); problem == nil {
			return
		} else if _, ok := problem.(fatal); !ok {
			panic(problem)
		}
		answer = outcome{Error: strings.TrimSpace(said.String())}
	}()
	kept := []string{}
	for mod, hashes := range modfetch.OracleGoSum("go.sum", data) {
		for _, hash := range hashes {
			kept = append(kept, mod.Path+" "+mod.Version+" "+hash)
		}
	}
	sort.Strings(kept)
	return outcome{Value: kept}
}
