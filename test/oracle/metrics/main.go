// Command metrics reads Prometheus's text format on stdin by Prometheus's own code: one JSON document out, with every
// sample, and what promtool's `check metrics` finds wrong.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

type sample struct {
	Labels map[string]string `json:"labels"`
	Value  float64           `json:"value"`
}

type family struct {
	Type    string   `json:"type"`
	Help    string   `json:"help"`
	Samples []sample `json:"samples"`
}

type answer struct {
	Error    string            `json:"error"`
	Families map[string]family `json:"families"`
	Problems []string          `json:"problems"`
}

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(read(text)); err != nil {
		log.Fatal(err)
	}
}

func read(text []byte) answer {
	answer := answer{Families: map[string]family{}, Problems: []string{}}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		answer.Error = err.Error()
		return answer
	}
	for name, found := range families {
		read := family{Type: found.GetType().String(), Help: found.GetHelp(), Samples: []sample{}}
		for _, metric := range found.GetMetric() {
			labels := map[string]string{}
			for _, label := range metric.GetLabel() {
				labels[label.GetName()] = label.GetValue()
			}
			read.Samples = append(read.Samples, sample{labels, valueOf(metric)})
		}
		answer.Families[name] = read
	}
	problems, err := promlint.New(bytes.NewReader(text)).Lint()
	if err != nil {
		answer.Error = err.Error()
	}
	for _, problem := range problems {
		answer.Problems = append(answer.Problems, problem.Metric+": "+problem.Text)
	}
	return answer
}

func valueOf(metric *dto.Metric) float64 {
	switch {
	case metric.Gauge != nil:
		return metric.GetGauge().GetValue()
	case metric.Counter != nil:
		return metric.GetCounter().GetValue()
	case metric.Histogram != nil:
		return float64(metric.GetHistogram().GetSampleCount())
	}
	return metric.GetUntyped().GetValue()
}
