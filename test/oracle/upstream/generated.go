package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand"
	"net/http"
	"os"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"
)

const (
	versionsPerModule = 5
	// A module requires all of its family that come before it: three and a half on average, and the graph is complete.
	familySize = 8
	// So many sets of files are made; a version has one of them, with a file of its own.
	fileSets = 16
	// A page of the index, as the public one has it.
	indexPage = 2000
)

var generatedBegin = time.Date(2024, 1, 2, 3, 4, 5, 678901000, time.UTC)

// generated is an upstream of made-up modules and the index of them: nothing is on the disk, and a zip of about 20 kB
// is put together from parts that were deflated once.
type generated struct {
	count int
	sets  [][]deflated
}

// deflated is a file of a zip.
type deflated struct {
	name     string
	size     int
	crc      uint32
	sha      [sha256.Size]byte
	packed   []byte
	isStored bool
}

func newGenerated(count int) *generated {
	g := &generated{count: count}
	for set := int64(0); set < fileSets; set++ {
		random := rand.New(rand.NewSource(set))
		g.sets = append(g.sets, []deflated{
			deflate("LICENSE", []byte(strings.Repeat("Made up for a measurement. Do with it as you like.\n", 30))),
			deflate("engine.go", goSource(random, 30_000)),
			deflate("engine_test.go", goSource(random, 15_000)),
			deflate("internal/table/table.go", goSource(random, 12_000)),
			deflate("options.go", goSource(random, 8_000)),
		})
	}
	return g
}

func deflate(name string, content []byte) deflated {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.DefaultCompression)
	if err != nil {
		panic(err)
	}
	w.Write(content)
	w.Close()
	return deflated{name: name, size: len(content), crc: crc32.ChecksumIEEE(content), sha: sha256.Sum256(content), packed: packed.Bytes()}
}

// goSource is text that deflates as Go code does, to about a quarter.
func goSource(random *rand.Rand, size int) []byte {
	const letters = "etaoinsrhldcumfpgwybvk"
	words := make([]string, 400)
	for i := range words {
		word := make([]byte, 3+random.Intn(9))
		for at := range word {
			word[at] = letters[random.Intn(len(letters))]
		}
		words[i] = string(word)
	}
	word := func() string { return words[min(random.Intn(len(words)), random.Intn(len(words)))] }
	var text bytes.Buffer
	text.WriteString("package engine\n\n")
	for text.Len() < size {
		fmt.Fprintf(&text, "func %s%d(%s, %s int) (int, error) {\n", word(), random.Intn(1000), word(), word())
		for lines := 2 + random.Intn(6); lines > 0; lines-- {
			fmt.Fprintf(&text, "\tif %s := %s(%s, %d); %s > %s {\n\t\treturn %s.%s, nil\n\t}\n",
				word(), word(), word(), random.Intn(100000), word(), word(), word(), word())
		}
		text.WriteString("\treturn 0, nil\n}\n\n")
	}
	return text.Bytes()
}

// Of the numbers 0 … count-1 each is a version: all first versions of a family come before its second ones.
func (g *generated) version(number int) module.Version {
	family, rest := number/(familySize*versionsPerModule), number%(familySize*versionsPerModule)
	return module.Version{Path: generatedPath(family, rest%familySize), Version: fmt.Sprintf("v1.%d.0", rest/familySize)}
}

func generatedPath(family, member int) string {
	return fmt.Sprintf("load.example.test/org%d/family%d/module%d", family%97, family, member)
}

// number is the opposite of version.
func (g *generated) number(m module.Version) (int, bool) {
	var org, family, member, minor int
	if n, _ := fmt.Sscanf(m.Path, "load.example.test/org%d/family%d/module%d", &org, &family, &member); n != 3 {
		return 0, false
	}
	if n, _ := fmt.Sscanf(m.Version, "v1.%d.0", &minor); n != 1 || family < 0 || member < 0 || minor < 0 {
		return 0, false
	}
	number := (family*versionsPerModule+minor)*familySize + member
	return number, number < g.count && g.version(number) == m
}

func (g *generated) goMod(m module.Version) []byte {
	number, _ := g.number(m)
	var text bytes.Buffer
	fmt.Fprintf(&text, "module %s\n\ngo 1.21\n", m.Path)
	if member := number % familySize; member > 0 {
		text.WriteString("\nrequire (\n")
		for before := 0; before < member; before++ {
			fmt.Fprintf(&text, "\t%s %s\n", generatedPath(number/(familySize*versionsPerModule), before), m.Version)
		}
		text.WriteString(")\n")
	}
	return text.Bytes()
}

func (g *generated) time(number int) time.Time {
	return generatedBegin.Add(time.Duration(number) * 1_001_003 * time.Microsecond)
}

// files are all of a version's, in the order of their names; the packed form of its own two is made when asked for.
func (g *generated) files(m module.Version) []deflated {
	number, _ := g.number(m)
	own := []deflated{
		stored("go.mod", g.goMod(m)),
		stored("version.go", []byte(fmt.Sprintf("package engine\n\n// Version is this one's.\nconst Version = %q\n", m.String()))),
	}
	files := append(own, g.sets[number%fileSets]...)
	sort.Slice(files, func(i, j int) bool { return files[i].name < files[j].name })
	return files
}

// stored is a file too small to be worth deflating.
func stored(name string, content []byte) deflated {
	return deflated{name: name, size: len(content), crc: crc32.ChecksumIEEE(content), sha: sha256.Sum256(content), packed: content, isStored: true}
}

func (g *generated) goSum(path, version string) ([]byte, error) {
	m := module.Version{Path: path, Version: version}
	if _, ok := g.number(m); !ok {
		return nil, os.ErrNotExist
	}
	// golang.org/x/mod/sumdb/dirhash, Hash1: all names have the same prefix, so their order is that of the files.
	summary := sha256.New()
	for _, file := range g.files(m) {
		fmt.Fprintf(summary, "%x  %s@%s/%s\n", file.sha, path, version, file.name)
	}
	mod := sha256.New()
	fmt.Fprintf(mod, "%x  go.mod\n", sha256.Sum256(g.goMod(m)))
	h1 := func(sum []byte) string { return "h1:" + base64.StdEncoding.EncodeToString(sum) }
	return goSumLines(path, version, h1(summary.Sum(nil)), h1(mod.Sum(nil))), nil
}

func (g *generated) zip(m module.Version) []byte {
	made := bytes.NewBuffer(make([]byte, 0, 32<<10))
	w := zip.NewWriter(made)
	for _, file := range g.files(m) {
		method := zip.Deflate
		if file.isStored {
			method = zip.Store
		}
		part, err := w.CreateRaw(&zip.FileHeader{
			Name: m.String() + "/" + file.name, Method: method, CRC32: file.crc,
			CompressedSize64: uint64(len(file.packed)), UncompressedSize64: uint64(file.size),
		})
		if err != nil {
			panic(err)
		}
		part.Write(file.packed)
	}
	w.Close()
	return made.Bytes()
}

func (g *generated) versions() ([]module.Version, error) {
	list := make([]module.Version, g.count)
	for number := range list {
		list[number] = g.version(number)
	}
	return list, nil
}

func (g *generated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	if name == "index" {
		g.serveIndex(w, r)
		return
	}
	escaped, file, ok := strings.Cut(name, "/@v/")
	if !ok {
		escaped, ok = strings.CutSuffix(name, "/@latest")
		file = "@latest"
	}
	var known []module.Version
	for minor := 0; ok && minor < versionsPerModule; minor++ {
		m := module.Version{Path: escaped, Version: fmt.Sprintf("v1.%d.0", minor)}
		if _, is := g.number(m); is {
			known = append(known, m)
		}
	}
	if len(known) == 0 {
		notFound(w, name)
		return
	}
	switch file {
	case "list":
		for _, m := range known {
			fmt.Fprintln(w, m.Version)
		}
		return
	case "@latest":
		file = known[len(known)-1].Version + ".info"
	}
	extension := path.Ext(file)
	m := module.Version{Path: escaped, Version: strings.TrimSuffix(file, extension)}
	number, ok := g.number(m)
	if !ok || contentTypes[extension] == "" {
		notFound(w, name)
		return
	}
	var body []byte
	switch extension {
	case ".info":
		body, _ = json.Marshal(map[string]any{"Version": m.Version, "Time": g.time(number).Truncate(time.Second)})
	case ".mod":
		body = g.goMod(m)
	case ".zip":
		body = g.zip(m)
	}
	w.Header().Set("Content-Type", contentTypes[extension])
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Write(body)
}

func (g *generated) serveIndex(w http.ResponseWriter, r *http.Request) {
	from := 0
	if since, err := time.Parse(time.RFC3339Nano, r.URL.Query().Get("since")); err == nil {
		from = sort.Search(g.count, func(number int) bool { return !g.time(number).Before(since) })
	}
	lines := json.NewEncoder(w)
	for number := from; number < min(g.count, from+indexPage); number++ {
		m := g.version(number)
		lines.Encode(map[string]string{
			"Path": m.Path, "Version": m.Version, "Timestamp": g.time(number).Format("2006-01-02T15:04:05.000000Z"),
		})
	}
}
