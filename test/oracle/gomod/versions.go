package main

import (
	goversion "go/version"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

func init() {
	operations["semver"] = func(args []string) any {
		v := args[0]
		return []any{
			semver.IsValid(v), semver.Canonical(v), semver.Major(v), semver.MajorMinor(v),
			semver.Prerelease(v), semver.Build(v), module.CanonicalVersion(v),
		}
	}
	operations["compareSemver"] = func(args []string) any { return semver.Compare(args[0], args[1]) }
	operations["sortVersions"] = func(args []string) any {
		semver.Sort(args)
		return args
	}
	operations["pseudo"] = func(args []string) any {
		v := args[0]
		t, timeErr := module.PseudoVersionTime(v)
		rev, revErr := module.PseudoVersionRev(v)
		base, baseErr := module.PseudoVersionBase(v)
		return []any{
			module.IsPseudoVersion(v), either(t.Format(time.RFC3339), timeErr), either(rev, revErr), either(base, baseErr),
		}
	}
	operations["makePseudo"] = func(args []string) any {
		t, err := time.Parse(time.RFC3339, args[2])
		if err != nil {
			fatal(err)
		}
		return module.PseudoVersion(args[0], args[1], t, args[3])
	}
	operations["zeroPseudo"] = func(args []string) any { return module.ZeroPseudoVersion(args[0]) }
	operations["goVersion"] = func(args []string) any {
		return []any{goversion.IsValid("go" + args[0]), goversion.Compare("go"+args[0], "go"+args[1])}
	}
}
