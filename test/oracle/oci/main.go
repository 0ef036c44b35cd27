// Reads lines "KIND PATH" and prints for each "ok" or what the schemas of the OCI image specification find wrong.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"github.com/opencontainers/image-spec/schema"
)

func main() {
	kinds := map[string]schema.Validator{
		"layout":   schema.ValidatorMediaTypeLayoutHeader,
		"index":    schema.ValidatorMediaTypeImageIndex,
		"manifest": schema.ValidatorMediaTypeManifest,
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		kind, path, _ := strings.Cut(lines.Text(), " ")
		file, err := os.Open(path)
		if err == nil {
			err = kinds[kind].Validate(file)
			file.Close()
		}
		if err != nil {
			fmt.Println(strings.Join(strings.Fields(err.Error()), " "))
			continue
		}
		fmt.Println("ok")
	}
}
