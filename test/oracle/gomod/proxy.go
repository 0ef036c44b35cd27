package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
)

// proxies gives the proxy that net/http takes from an environment for each URL, or the empty string. It reads the
// environment once in a process's life, so each is asked in a process of its own.
// Arguments: the variables as a JSON object, then the URLs.
func init() {
	if asked := os.Getenv("MODFERRY_ORACLE_URLS"); asked != "" {
		answerProxies(asked)
	}
	operations["proxies"] = func(args []string) any {
		variables := map[string]string{}
		if err := json.Unmarshal([]byte(args[0]), &variables); err != nil {
			fatal(err)
		}
		urls, err := json.Marshal(args[1:])
		if err != nil {
			fatal(err)
		}
		self, err := os.Executable()
		if err != nil {
			fatal(err)
		}
		child := exec.Command(self)
		child.Env = []string{"MODFERRY_ORACLE_URLS=" + string(urls)}
		for name, value := range variables {
			child.Env = append(child.Env, name+"="+value)
		}
		printed, err := child.Output()
		if err != nil {
			fatal(err)
		}
		return json.RawMessage(printed)
	}
}

func answerProxies(asked string) {
	urls := []string{}
	if err := json.Unmarshal([]byte(asked), &urls); err != nil {
		fatal(err)
	}
	proxies := []string{}
	for _, url := range urls {
		request, err := http.NewRequest("GET", url, nil)
		if err != nil {
			fatal(err)
		}
		proxy, err := http.ProxyFromEnvironment(request)
		if err != nil || proxy == nil {
			proxies = append(proxies, "")
			continue
		}
		proxies = append(proxies, proxy.Scheme+"://"+proxy.Host)
	}
	if err := json.NewEncoder(os.Stdout).Encode(proxies); err != nil {
		fatal(err)
	}
	os.Exit(0)
}
