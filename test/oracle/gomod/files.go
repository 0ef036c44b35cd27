package main

import (
	"encoding/base64"
	"encoding/json"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
)

type object = map[string]any

func init() {
	operations["strict"] = func(args []string) any { return goMod(modfile.Parse(args[0], bytesOf(args[1]), nil)) }
	operations["lax"] = func(args []string) any { return goMod(modfile.ParseLax(args[0], bytesOf(args[1]), nil)) }
	operations["work"] = func(args []string) any { return goWork(modfile.ParseWork(args[0], bytesOf(args[1]), nil)) }
	operations["info"] = func(args []string) any {
		info := new(revInfo)
		if err := json.Unmarshal(bytesOf(args[0]), info); err != nil {
			return outcome{Error: err.Error()}
		}
		printed, err := json.Marshal(info)
		return either(string(printed), err)
	}
}

func bytesOf(encoded string) []byte {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		fatal(err)
	}
	return data
}

func goMod(f *modfile.File, err error) any {
	if err != nil {
		return outcome{Error: err.Error()}
	}
	require, exclude, retract, tool, ignore := []any{}, []any{}, []any{}, []any{}, []any{}
	for _, r := range f.Require {
		require = append(require, object{"path": r.Mod.Path, "version": r.Mod.Version, "indirect": r.Indirect})
	}
	for _, x := range f.Exclude {
		exclude = append(exclude, named(x.Mod))
	}
	for _, r := range f.Retract {
		retract = append(retract, object{"low": r.Low, "high": r.High, "rationale": r.Rationale})
	}
	for _, t := range f.Tool {
		tool = append(tool, t.Path)
	}
	for _, i := range f.Ignore {
		ignore = append(ignore, i.Path)
	}
	mod := object{
		"require": require, "exclude": exclude, "replace": replacements(f.Replace), "retract": retract,
		"tool": tool, "ignore": ignore, "godebug": settings(f.Godebug),
	}
	if f.Module != nil {
		mod["module"] = object{"path": f.Module.Mod.Path}
		if f.Module.Deprecated != "" {
			mod["module"] = object{"path": f.Module.Mod.Path, "deprecated": f.Module.Deprecated}
		}
	}
	toolchain(mod, f.Go, f.Toolchain)
	return outcome{Value: mod}
}

func goWork(f *modfile.WorkFile, err error) any {
	if err != nil {
		return outcome{Error: err.Error()}
	}
	use := []any{}
	for _, u := range f.Use {
		use = append(use, object{"path": u.Path})
	}
	work := object{"use": use, "replace": replacements(f.Replace), "godebug": settings(f.Godebug)}
	toolchain(work, f.Go, f.Toolchain)
	return outcome{Value: work}
}

func toolchain(file object, goLine *modfile.Go, toolchainLine *modfile.Toolchain) {
	if goLine != nil {
		file["go"] = goLine.Version
	}
	if toolchainLine != nil {
		file["toolchain"] = toolchainLine.Name
	}
}

func replacements(list []*modfile.Replace) []any {
	replace := []any{}
	for _, r := range list {
		replace = append(replace, object{"old": named(r.Old), "new": named(r.New)})
	}
	return replace
}

func settings(list []*modfile.Godebug) []any {
	godebug := []any{}
	for _, g := range list {
		godebug = append(godebug, object{"key": g.Key, "value": g.Value})
	}
	return godebug
}

func named(m module.Version) object {
	if m.Version == "" {
		return object{"path": m.Path}
	}
	return object{"path": m.Path, "version": m.Version}
}

// revInfo has the shape of cmd/go/internal/modfetch.RevInfo, which cannot be imported.
type revInfo struct {
	Version string
	Time    time.Time
	Origin  *struct {
		VCS       string `json:",omitempty"`
		URL       string `json:",omitempty"`
		Subdir    string `json:",omitempty"`
		Hash      string `json:",omitempty"`
		TagPrefix string `json:",omitempty"`
		TagSum    string `json:",omitempty"`
		Ref       string `json:",omitempty"`
		RepoSum   string `json:",omitempty"`
	} `json:",omitempty"`
}
