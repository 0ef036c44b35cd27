// Command modern is a sample project for modferry's tests: go 1.21, so with a pruned module graph.
package main

import (
	"fmt"
	"net/http"
	"os"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

func main() {
	command := &cobra.Command{
		Use:   "modern",
		Short: "Serves metrics",
		RunE: func(command *cobra.Command, args []string) error {
			logger, err := zap.NewProduction()
			if err != nil {
				return err
			}
			router := chi.NewRouter()
			router.Method(http.MethodGet, "/metrics", promhttp.Handler())
			logger.Info("routes", zap.Int("count", len(router.Routes())))
			return nil
		},
	}
	if err := command.Execute(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
