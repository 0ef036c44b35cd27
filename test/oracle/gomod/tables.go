package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// table reads a test table out of x/mod's own _test.go files: all composite literals, within the variable or
// function of that name, that hold nothing but strings and booleans. Rows are arrays in the order written.
func init() {
	operations["table"] = func(args []string) any {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(moduleDir(), args[0]), nil, 0)
		if err != nil {
			fatal(err)
		}
		rows := []any{}
		for _, declaration := range file.Decls {
			ast.Inspect(declared(declaration, args[1]), func(node ast.Node) bool {
				if literal, ok := node.(*ast.CompositeLit); ok {
					if row := row(literal); row != nil {
						rows = append(rows, row)
					}
				}
				return true
			})
		}
		if len(rows) == 0 {
			fatal(fmt.Errorf("no table %s in %s", args[1], args[0]))
		}
		return rows
	}
	operations["testdata"] = func([]string) any {
		names, err := filepath.Glob(filepath.Join(moduleDir(), "modfile/testdata/*"))
		if err != nil {
			fatal(err)
		}
		work, err := filepath.Glob(filepath.Join(moduleDir(), "modfile/testdata/work/*"))
		if err != nil {
			fatal(err)
		}
		return append(names, work...)
	}
}

// moduleDir is where the x/mod that go.sum pins was unpacked.
func moduleDir() string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/mod").Output()
	if err != nil {
		fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// declared is the part of a declaration that declares name, or an empty node.
func declared(declaration ast.Decl, name string) ast.Node {
	switch declaration := declaration.(type) {
	case *ast.FuncDecl:
		if declaration.Name.Name == name {
			return declaration
		}
	case *ast.GenDecl:
		for _, spec := range declaration.Specs {
			if value, ok := spec.(*ast.ValueSpec); ok && value.Names[0].Name == name {
				return value
			}
		}
	}
	return &ast.EmptyStmt{}
}

func row(literal *ast.CompositeLit) []any {
	values := []any{}
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			element = pair.Value
		}
		switch element := element.(type) {
		case *ast.BasicLit:
			text, err := strconv.Unquote(element.Value)
			if err != nil {
				return nil
			}
			values = append(values, text)
		case *ast.Ident:
			values = append(values, element.Name == "true")
		default:
			return nil
		}
	}
	if len(values) == 0 {
		return nil
	}
	return values
}
