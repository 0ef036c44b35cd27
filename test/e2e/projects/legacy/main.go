// Command legacy is a sample project for modferry's tests: go 1.15, so with an unpruned module graph,
// +incompatible versions, gopkg.in paths and modules that have no go.mod of their own.
package main

import (
	"fmt"
	"time"

	"github.com/dgrijalva/jwt-go"
	"github.com/gofrs/uuid"
	"github.com/gorilla/mux"
	"github.com/patrickmn/go-cache"
	"github.com/pkg/errors"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"gopkg.in/alecthomas/kingpin.v2"
	"gopkg.in/ini.v1"
	"gopkg.in/yaml.v2"
)

func check() error {
	settings := struct {
		Name string `yaml:"name"`
	}{Name: "legacy"}
	text, err := yaml.Marshal(settings)
	if err != nil {
		return errors.Wrap(err, "yaml")
	}
	id, err := uuid.NewV4()
	if err != nil {
		return errors.Wrap(err, "uuid")
	}
	token, err := jwt.New(jwt.SigningMethodHS256).SignedString(id.Bytes())
	if err != nil {
		return errors.Wrap(err, "token")
	}
	kept := cache.New(time.Minute, time.Minute)
	kept.SetDefault("token", token)
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "checks"})
	counter.Inc()
	logrus.WithField("items", kept.ItemCount()).Info(string(text))
	fmt.Println(mux.NewRouter() != nil, ini.Empty() != nil)
	return nil
}

func main() {
	application := kingpin.New("legacy", "Checks its settings.")
	application.FatalIfError(check(), "check")
}
