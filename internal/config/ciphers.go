package config

import (
	"crypto/tls"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// openSSL are OpenSSL's names of what Go can offer up to TLS 1.2.
var openSSL = map[string]uint16{
	"ECDHE-ECDSA-AES128-GCM-SHA256": tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-RSA-AES128-GCM-SHA256":   tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"ECDHE-ECDSA-AES256-GCM-SHA384": tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-RSA-AES256-GCM-SHA384":   tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"ECDHE-ECDSA-CHACHA20-POLY1305": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-RSA-CHACHA20-POLY1305":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"ECDHE-ECDSA-AES128-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA,
	"ECDHE-RSA-AES128-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA,
	"ECDHE-ECDSA-AES256-SHA":        tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA,
	"ECDHE-RSA-AES256-SHA":          tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
}

// ciphersuites are those of TLS 1.3, all of which Go always offers.
var ciphersuites = map[string]uint16{
	"TLS_AES_128_GCM_SHA256":       tls.TLS_AES_128_GCM_SHA256,
	"TLS_AES_256_GCM_SHA384":       tls.TLS_AES_256_GCM_SHA384,
	"TLS_CHACHA20_POLY1305_SHA256": tls.TLS_CHACHA20_POLY1305_SHA256,
}

func (t TLS) ciphers(c *tls.Config) (err error) {
	if c.CipherSuites, err = named("--tls-ciphers", t.Ciphers, openSSL); err != nil {
		return err
	}
	accepted, err := named("--tls-ciphersuites", t.Suites, ciphersuites)
	if err != nil || accepted == nil {
		return err
	}
	c.VerifyConnection = func(s tls.ConnectionState) error {
		if s.Version < tls.VersionTLS13 || slices.Contains(accepted, s.CipherSuite) {
			return nil
		}
		return fmt.Errorf("the node chose %s, which --tls-ciphersuites does not have", tls.CipherSuiteName(s.CipherSuite))
	}
	return nil
}

// named reads a list as OpenSSL does, but for what stands for several.
func named(flag, list string, known map[string]uint16) (ids []uint16, err error) {
	for _, name := range strings.FieldsFunc(list, func(r rune) bool { return strings.ContainsRune(":, ", r) }) {
		id, ok := known[strings.ToUpper(name)]
		if !ok {
			return nil, fmt.Errorf("%s: %q is not supported; it may have %s", flag, name, strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		ids = append(ids, id)
	}
	if list != "" && ids == nil {
		return nil, fmt.Errorf("%s: the list is empty", flag)
	}
	return ids, nil
}
