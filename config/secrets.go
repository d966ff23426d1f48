package config

import "strings"

// SecretFile is a file that nobody else should be able to read.
type SecretFile struct{ Key, Path string }

// SecretFiles are the files that hold secrets, private keys, or the gateway's
// keys, of those that are configured.
func (c *Config) SecretFiles() []SecretFile {
	var all []SecretFile
	for i := range keys {
		name := keys[i].name
		if !strings.HasSuffix(name, "_file") {
			continue
		}
		secret := strings.HasSuffix(name, ".tls.key_file") || name == "producer.keys_file"
		for j := range keys {
			secret = secret || keys[j].secret() && keys[j].name+"_file" == name
		}
		if path := c.text(name); secret && path != "" {
			all = append(all, SecretFile{name, path})
		}
	}
	return all
}

// Secrets are the secrets that are set, by their keys.
func (c *Config) Secrets() map[string]Secret {
	all := map[string]Secret{}
	for i := range keys {
		if s, is := keys[i].field(c).(*Secret); is && s.Set() {
			all[keys[i].name] = *s
		}
	}
	return all
}
