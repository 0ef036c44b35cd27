package main

import (
	"fmt"

	"golang.org/x/mod/module"
)

func init() {
	operations["path"] = func(args []string) any {
		path := args[0]
		prefix, major, ok := module.SplitPathVersion(path)
		escaped, escapeErr := module.EscapePath(path)
		unescaped, unescapeErr := module.UnescapePath(path)
		return []any{
			text(module.CheckPath(path)), text(module.CheckImportPath(path)), text(module.CheckFilePath(path)),
			either(escaped, escapeErr), either(unescaped, unescapeErr), []any{prefix, major, ok},
		}
	}
	operations["revision"] = func(args []string) any {
		escaped, escapeErr := module.EscapeVersion(args[0])
		unescaped, unescapeErr := module.UnescapeVersion(args[0])
		return []any{either(escaped, escapeErr), either(unescaped, unescapeErr)}
	}
	operations["check"] = func(args []string) any { return text(module.Check(args[0], args[1])) }
	operations["pathMajor"] = func(args []string) any {
		return []any{text(module.CheckPathMajor(args[0], args[1])), pathMajorPrefix(args[1])}
	}
	operations["matchPatterns"] = func(args []string) any { return module.MatchPrefixPatterns(args[0], args[1]) }
	operations["sortModules"] = func(args []string) any {
		list := []module.Version{}
		for i := 0; i < len(args); i += 2 {
			list = append(list, module.Version{Path: args[i], Version: args[i+1]})
		}
		module.Sort(list)
		sorted := []string{}
		for _, m := range list {
			sorted = append(sorted, m.String())
		}
		return sorted
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// pathMajorPrefix panics in x/mod where the argument is no path ending.
func pathMajorPrefix(pathMajor string) (result outcome) {
	defer func() {
		if problem := recover(); problem != nil {
			result = outcome{Error: fmt.Sprint(problem)}
		}
	}()
	return outcome{Value: module.PathMajorPrefix(pathMajor)}
}
