// Command sample is the project that `npm start` mirrors when it is given no other: popular libraries,
// about 60 modules in `go list -m all`.
package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"

	"github.com/fatih/color"
	"github.com/fsnotify/fsnotify"
	"github.com/go-chi/chi/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"
	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"gopkg.in/yaml.v3"
)

func run() error {
	text, err := yaml.Marshal(map[string]string{"id": uuid.NewString()})
	if err != nil {
		return err
	}
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return err
	}
	defer watcher.Close()

	var log bytes.Buffer
	logger := zerolog.New(&log)
	logger.Info().Msg("zerolog")
	logrus.New().WithField("size", log.Len()).Info("logrus")
	zap.NewExample().Info("zap", zap.ByteString("yaml", text))

	router := chi.NewRouter()
	router.Method(http.MethodGet, "/metrics", promhttp.Handler())
	upgrader := websocket.Upgrader{}
	router.Get("/socket", func(writer http.ResponseWriter, request *http.Request) {
		if connection, err := upgrader.Upgrade(writer, request, nil); err == nil {
			connection.Close()
		}
	})

	fmt.Println(color.GreenString("routes: %d", len(router.Routes())))

	var group errgroup.Group
	group.Go(func() error {
		if !assert.ObjectsAreEqual(1, 1) || !cmp.Equal("a", "a") {
			return fmt.Errorf("equal values differ")
		}
		return nil
	})
	return group.Wait()
}

func main() {
	command := &cobra.Command{
		Use:   "sample",
		Short: "Uses one thing of each library",
		RunE:  func(*cobra.Command, []string) error { return run() },
	}
	if err := command.Execute(); err != nil {
		os.Exit(1)
	}
}
