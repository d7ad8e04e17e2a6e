package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Server is a server program of this machine.
type Server struct {
	Path    string // absolute, or found through PATH
	Kind    string // redis or valkey
	Version string // what it says of itself, such as 7.0.15
}

// Name is the kind with the first two numbers of the version, as in redis-7.0.
func (s Server) Name() string {
	parts := strings.SplitN(s.Version, ".", 3)
	return s.Kind + "-" + strings.Join(parts[:min(2, len(parts))], ".")
}

// ErrNoServer says that no server program was found.
var ErrNoServer = errors.New("no redis-server or valkey-server found")

// FindServer returns the server at path, or with an empty path the first of
// redis-server and valkey-server on PATH.
func FindServer(ctx context.Context, path string) (Server, error) {
	if path != "" {
		return inspect(ctx, path)
	}
	for _, program := range []string{"redis-server", "valkey-server"} {
		if found, err := exec.LookPath(program); err == nil {
			return inspect(ctx, found)
		}
	}
	return Server{}, fmt.Errorf("%w on PATH", ErrNoServer)
}

// Unpacked lists what scripts/servers.sh left in dir, in the order of the names.
func Unpacked(ctx context.Context, dir string) ([]Server, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*", "bin", "*-server"))
	if err != nil {
		return nil, fmt.Errorf("list servers in %s: %w", dir, err)
	}
	servers := make([]Server, 0, len(paths))
	for _, path := range paths {
		server, err := inspect(ctx, path)
		if err != nil {
			return nil, err
		}
		servers = append(servers, server)
	}
	return servers, nil
}

// inspect asks the program itself: a file name proves neither kind nor version.
func inspect(ctx context.Context, path string) (Server, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return Server{}, fmt.Errorf("server %s: %w", path, err)
	}
	if _, err := os.Stat(absolute); err != nil {
		return Server{}, fmt.Errorf("%w: %w", ErrNoServer, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, absolute, "--version").CombinedOutput()
	if err != nil {
		return Server{}, fmt.Errorf("%s --version: %w: %s", absolute, err, strings.TrimSpace(string(out)))
	}
	return parseVersion(absolute, string(out))
}

func parseVersion(path, banner string) (Server, error) {
	pattern := regexp.MustCompile(`(?i)^(redis|valkey) server v=([0-9][^ ]*)`)
	match := pattern.FindStringSubmatch(banner)
	if match == nil {
		return Server{}, fmt.Errorf("%s --version says %.60q: neither a Redis nor a Valkey server", path, banner)
	}
	return Server{Path: path, Kind: strings.ToLower(match[1]), Version: match[2]}, nil
}
