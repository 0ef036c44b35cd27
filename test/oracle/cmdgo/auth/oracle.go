// Overlaid onto the go command's own sources: what its package auth does not export.
package auth

import "net/http"

// OracleNetrc gives the Authorization headers that a netrc makes go send to URLs.
func OracleNetrc(data string, urls []string) []string {
	credentialCache.Clear()
	lines := parseNetrc(data)
	// As runGoAuth does for GOAUTH=netrc.
	for i := len(lines) - 1; i >= 0; i-- {
		r := http.Request{Header: make(http.Header)}
		r.SetBasicAuth(lines[i].login, lines[i].password)
		storeCredential(lines[i].machine, r.Header)
	}
	headers := []string{}
	for _, url := range urls {
		r := http.Request{Header: make(http.Header)}
		loadCredential(&r, url)
		headers = append(headers, r.Header.Get("Authorization"))
	}
	return headers
}
