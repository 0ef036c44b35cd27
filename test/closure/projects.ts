/** Go files of a project, by name below its folder. */
export type Sources = Readonly<Record<string, string>>;

/** Whose closure is proven. What it needs of public modules is fetched when the proof runs. */
export type ClosureSubject = WrittenProject | PublishedProgram | WishedRoot;

interface Subject {
  readonly name: string;
  /**
   * With which toolchains it is compiled for build, vet and test; with the others `go list -deps -test` stands for
   * them, which asks for the same files. Default: the newest.
   */
  readonly compiled?: "all" | "none";
  /** Whether tier upgrade is proven for it, too: that asks upstream for many more files. */
  readonly upgrade?: true;
}

/** A main module or workspace of our own. */
export interface WrittenProject extends Subject {
  readonly kind: "project";
  /** go.mod files without what `go mod tidy` adds, a go.work where it is a workspace, and sources. */
  readonly files: Sources;
  /** A direct requirement for `go get M@v` in the project. */
  readonly get: string;
  /** The arguments of each `go mod tidy`; default: one, without any. */
  readonly tidy?: readonly (readonly string[])[];
}

/** A program as the main module: its own sources, go.mod and go.sum, out of its zip. */
export interface PublishedProgram extends Subject {
  readonly kind: "program";
  readonly module: string;
  readonly get: string;
}

/** A wish `module@version`, used as people use it: got into an empty module, imported, installed. */
export interface WishedRoot extends Subject {
  readonly kind: "wish";
  readonly module: string;
  /** Packages that a module imports which uses it; empty for a pure command. */
  readonly imports: readonly string[];
  /** Commands for `go install`. */
  readonly commands: readonly string[];
  /** The importing module's go line. */
  readonly go: string;
}

export const SUBJECTS: readonly ClosureSubject[] = [
  {
    kind: "project",
    name: "tiny",
    files: {
      "go.mod": goMod("1.21", "github.com/fatih/color v1.13.0"),
      "main.go": program("github.com/fatih/color"),
    },
    get: "github.com/fatih/color@v1.13.0",
    upgrade: true,
    compiled: "all",
  },
  {
    kind: "project",
    name: "legacy (go 1.15)",
    files: {
      "go.mod": goMod(
        "1.15",
        "github.com/dgrijalva/jwt-go v3.2.0+incompatible",
        "github.com/prometheus/client_golang v1.7.1",
        "github.com/sirupsen/logrus v1.6.0",
        "github.com/spf13/cobra v0.0.7",
        "gopkg.in/square/go-jose.v2 v2.5.1",
        "gopkg.in/yaml.v2 v2.4.0",
      ),
      "main.go": program(
        "github.com/dgrijalva/jwt-go",
        "github.com/prometheus/client_golang/prometheus/promhttp",
        "github.com/sirupsen/logrus",
        "github.com/spf13/cobra",
        "gopkg.in/square/go-jose.v2",
        "gopkg.in/yaml.v2",
      ),
    },
    get: "github.com/spf13/cobra@v0.0.7",
  },
  {
    kind: "project",
    name: "go 1.17 main",
    files: {
      "go.mod": goMod(
        "1.17",
        "github.com/prometheus/client_golang v1.12.1",
        "github.com/rs/zerolog v1.26.1",
        "github.com/spf13/cobra v1.1.3",
      ),
      "main.go": program(
        "github.com/prometheus/client_golang/prometheus/promhttp",
        "github.com/rs/zerolog",
        "github.com/spf13/cobra",
      ),
    },
    get: "github.com/spf13/cobra@v1.1.3",
    // As go itself advises where go 1.16 would select other versions.
    tidy: [["-go=1.16"], ["-go=1.17"]],
  },
  {
    kind: "project",
    name: "pruned",
    files: {
      "go.mod": goMod(
        "1.21",
        "github.com/gin-gonic/gin v1.9.1",
        "github.com/prometheus/client_golang v1.19.1",
        "go.uber.org/zap v1.27.0",
        "google.golang.org/grpc v1.62.2",
      ),
      "main.go": program(
        "github.com/gin-gonic/gin",
        "github.com/prometheus/client_golang/prometheus/promhttp",
        "go.uber.org/zap",
        "google.golang.org/grpc",
      ),
    },
    get: "go.uber.org/zap@v1.27.0",
  },
  {
    kind: "project",
    name: "major versions",
    files: {
      "go.mod": goMod(
        "1.20",
        "github.com/cespare/xxhash/v2 v2.2.0",
        "github.com/go-chi/chi/v5 v5.0.12",
        "github.com/jackc/pgx/v5 v5.5.5",
        "github.com/labstack/echo/v4 v4.11.4",
        "github.com/rogpeppe/go-internal v1.11.0",
        "gopkg.in/yaml.v3 v3.0.1",
      ),
      "main.go": program(
        "github.com/cespare/xxhash/v2",
        "github.com/go-chi/chi/v5",
        "github.com/jackc/pgx/v5/pgxpool",
        "github.com/labstack/echo/v4",
        "gopkg.in/yaml.v3",
      ),
    },
    get: "github.com/go-chi/chi/v5@v5.0.12",
    upgrade: true,
  },
  {
    kind: "project",
    name: "replace",
    files: {
      "go.mod": `${goMod(
        "1.19",
        "example.com/local v0.0.0",
        "github.com/gogo/protobuf v1.3.2",
        "github.com/sirupsen/logrus v1.9.0",
        "github.com/spf13/cobra v1.7.0",
      )}
replace (
	example.com/local => ./local
	github.com/gogo/protobuf => github.com/regen-network/protobuf v1.3.3-alpha.regen.1
	github.com/sirupsen/logrus v1.9.0 => github.com/sirupsen/logrus v1.9.3
	golang.org/x/sys => golang.org/x/sys v0.15.0
)
`,
      "main.go": program(
        "example.com/local",
        "github.com/gogo/protobuf/proto",
        "github.com/sirupsen/logrus",
        "github.com/spf13/cobra",
      ),
      "local/go.mod": "module example.com/local\n\ngo 1.19\n\nrequire github.com/google/uuid v1.3.0\n",
      "local/local.go": library("local", "github.com/google/uuid"),
    },
    get: "github.com/spf13/cobra@v1.7.0",
    upgrade: true,
  },
  {
    kind: "project",
    name: "exclude",
    files: {
      "go.mod": `${goMod(
        "1.16",
        "github.com/golang/protobuf v1.5.3",
        "github.com/prometheus/client_golang v1.11.0",
        "github.com/stretchr/testify v1.7.0",
      )}
exclude (
	github.com/golang/protobuf v1.5.2
	github.com/prometheus/client_golang v1.7.1
	github.com/prometheus/common v0.10.0
	golang.org/x/net v0.0.0-20200625001655-4c5254603344
)
`,
      "main.go": program(
        "github.com/golang/protobuf/proto",
        "github.com/prometheus/client_golang/prometheus/promhttp",
      ),
      "main_test.go": 'package main\n\nimport _ "github.com/stretchr/testify/require"\n',
    },
    get: "github.com/stretchr/testify@v1.7.0",
  },
  {
    kind: "project",
    name: "workspace",
    files: {
      "go.work": "go 1.21\n\nuse (\n\t./app\n\t./lib\n)\n",
      "app/go.mod": goMod("1.21", "github.com/spf13/cobra v1.8.0").replace("/main", "/app"),
      "app/main.go": program("github.com/spf13/cobra"),
      "lib/go.mod": goMod("1.20", "github.com/spf13/viper v1.18.2").replace("/main", "/lib"),
      "lib/lib.go": library("lib", "github.com/spf13/viper"),
    },
    get: "github.com/spf13/cobra@v1.8.0",
    upgrade: true,
  },
  {
    kind: "project",
    name: "workspace with tools (go 1.24)",
    files: {
      "go.work": "go 1.24.0\n\nuse (\n\t./app\n\t./tools\n)\n",
      "app/go.mod": goMod("1.24.0", "github.com/spf13/cobra v1.8.0").replace("/main", "/app"),
      "app/main.go": program("github.com/spf13/cobra"),
      "tools/go.mod": `${goMod("1.24.0", "golang.org/x/tools v0.30.0", "honnef.co/go/tools v0.6.0").replace("/main", "/tools")}
tool (
	golang.org/x/tools/cmd/stringer
	honnef.co/go/tools/cmd/staticcheck
)
`,
      "tools/doc.go": "package tools\n",
    },
    get: "github.com/spf13/cobra@v1.8.0",
  },
  {
    kind: "program",
    name: "program (staticcheck)",
    module: "honnef.co/go/tools@v0.4.6",
    get: "golang.org/x/mod@v0.12.0",
    // Its golang.org/x/tools does not compile with the newest go.
    compiled: "none",
  },
  {
    kind: "program",
    name: "huge (hugo v0.120.4)",
    module: "github.com/gohugoio/hugo@v0.120.4",
    get: "github.com/spf13/cobra@v1.7.0",
    compiled: "none",
  },
  {
    kind: "wish",
    name: "library gin",
    module: "github.com/gin-gonic/gin@v1.9.1",
    imports: [
      "github.com/gin-gonic/gin",
      "github.com/gin-gonic/gin/binding",
      "github.com/gin-gonic/gin/render",
    ],
    commands: [],
    go: "1.21",
  },
  {
    kind: "wish",
    name: "library before pruning",
    module: "github.com/prometheus/client_golang@v1.7.1",
    imports: ["github.com/prometheus/client_golang/prometheus/promhttp"],
    commands: [],
    go: "1.21",
  },
  {
    kind: "wish",
    name: "library before modules",
    module: "github.com/dgrijalva/jwt-go@v3.2.0+incompatible",
    imports: ["github.com/dgrijalva/jwt-go", "github.com/dgrijalva/jwt-go/request"],
    commands: ["github.com/dgrijalva/jwt-go/cmd/jwt"],
    go: "1.21",
    upgrade: true,
  },
  {
    kind: "wish",
    name: "command yq",
    module: "github.com/mikefarah/yq/v4@v4.40.5",
    imports: ["github.com/mikefarah/yq/v4/pkg/yqlib"],
    commands: ["github.com/mikefarah/yq/v4"],
    go: "1.21",
  },
];

function goMod(go: string, ...require: readonly string[]): string {
  return `module example.com/main\n\ngo ${go}\n\nrequire (\n${require.map((line) => `\t${line}\n`).join("")})\n`;
}

function program(...imports: readonly string[]): string {
  return `${library("main", ...imports)}\nfunc main() {}\n`;
}

/** A Go file that imports packages for their sake alone. */
export function library(name: string, ...imports: readonly string[]): string {
  return `package ${name}\n\nimport (\n${imports.map((path) => `\t_ "${path}"\n`).join("")})\n`;
}
