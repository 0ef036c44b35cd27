// Command shouting is a sample project for modferry's tests: module paths with upper-case letters,
// which a GOPROXY escapes, and pseudo-versions.
package main

import (
	"fmt"
	"net/http"
	"os"
	"text/template"

	"github.com/Azure/go-ansiterm"
	"github.com/BurntSushi/toml"
	"github.com/Masterminds/sprig/v3"
	"github.com/NYTimes/gziphandler"
	"github.com/PuerkitoBio/purell"
	"github.com/VividCortex/ewma"
	"github.com/golang/groupcache/lru"
)

func main() {
	var settings struct{ URL string }
	if _, err := toml.Decode(`URL = "HTTP://example.test:80/"`, &settings); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	url := purell.MustNormalizeURLString(settings.URL, purell.FlagsSafe)
	text := template.Must(template.New("shout").Funcs(sprig.TxtFuncMap()).Parse("{{ . | upper }}\n"))
	if err := text.Execute(os.Stdout, url); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	recent := lru.New(1)
	recent.Add("url", url)
	mean := ewma.NewMovingAverage()
	mean.Add(float64(recent.Len()))
	handler := gziphandler.GzipHandler(http.NotFoundHandler())
	fmt.Println(mean.Value(), handler != nil, ansiterm.ANSI_MAX_CMD_LENGTH)
}
