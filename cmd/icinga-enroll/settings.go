package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"icinga-enroll/enroll"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

// config is the configuration file. It is the one list of what can be set: the
// environment variables, the flags and "icinga-enroll config" are made from it.
type config struct {
	Profile       string `koanf:"profile" oneof:"agent api-client" usage:"what the certificate is for: agent (this machine's Icinga agent) or api-client (a program that uses the Icinga 2 API)"`
	FirstRunSplay string `koanf:"first_run_splay" form:"^[+]?(0|([0-9.]+(ns|us|µs|μs|ms|s|m|h))+)$" usage:"the service's first enrolment waits for a random time up to this, such as 10m, at most 24h, that a fleet which boots at once doesn't knock the Director over"`
	ClonePolicy   string `koanf:"clone_policy" oneof:"reenroll stop" usage:"what a copy of an enrolled machine does: reenroll (under another name than its original's) or stop"`
	Director      struct {
		URL               string `koanf:"url" form:"^$|^[Hh][Tt][Tt][Pp][Ss]?://[^?#]+$" usage:"the Director, such as https://icinga.example.com/icingaweb2/director"`
		TemplateKey       string `koanf:"template_key" secret:"yes" usage:"self-service API key of the host template"`
		TemplateKeyFile   string `koanf:"template_key_file" usage:"file that holds the template key"`
		ForgetTemplateKey bool   `koanf:"forget_template_key" usage:"empty template_key_file once this node is enrolled: the key can register any host of the fleet"`
		HostKey           string `koanf:"host_key" secret:"yes" usage:"self-service API key of a host that was prepared in the Director"`
		HostKeyFile       string `koanf:"host_key_file" usage:"file that holds the prepared host's key"`
		CAFile            string `koanf:"ca_file" usage:"CA certificates (PEM) to trust for the Director; default: the system's roots"`
		Proxy             string `koanf:"proxy" form:"^$|//." usage:"proxy for the Director; default: HTTPS_PROXY and NO_PROXY of the environment"`
		User              string `koanf:"user" usage:"Icinga Web user for the Director's REST API"`
		Password          string `koanf:"password" secret:"yes" usage:"that user's password"`
		PasswordFile      string `koanf:"password_file" usage:"file that holds that user's password"`
		Deploy            bool   `koanf:"deploy" usage:"as that user, deploy the Director's configuration after this host was made or changed there"`
		Reregister        bool   `koanf:"reregister" usage:"register again where the Director doesn't know the host key any more"`
		AllowInsecureHTTP bool   `koanf:"allow_insecure_http" usage:"allow an http:// URL: keys and tickets are then readable on the wire"`
	} `koanf:"director"`
	Host struct {
		Name        string   `koanf:"name" form:"^$|^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$" usage:"the node's name; default: as the Director asks"`
		Address     string   `koanf:"address" form:"^[A-Za-z0-9._:-]*$" usage:"IPv4 address (or name) to register; default: as the Director asks"`
		Address6    string   `koanf:"address6" form:"^$|:" usage:"IPv6 address to register; default: as the Director asks"`
		DisplayName string   `koanf:"display_name" usage:"display name to register; default: as the Director asks"`
		Imports     []string `koanf:"imports" usage:"host templates of the host that director.user makes"`
		Vars        []string `koanf:"vars" form:"^[^=]+=" usage:"custom variables, name=value, of the host that director.user makes"`
		Send        []string `koanf:"send" oneof:"address address6 display_name" usage:"properties to register with (address, address6, display_name); [] for none; default: what the Director asks for and what is set here"`
	} `koanf:"host"`
	CA struct {
		Endpoints        []string `koanf:"endpoints" form:"^([^@]+@)?[^ /,@]+$" usage:"where to ask for a certificate, [name@]host:port; default: from the Director"`
		Fingerprint      []string `koanf:"fingerprint" form:"^\\s*([Ss][Pp][Kk][Ii]:\\s*)?:*([0-9A-Fa-f]:*){64}\\s*$" usage:"pin of the Icinga CA: spki: and the SHA-256 of its public key, or the SHA-256 of its certificate; one or several"`
		File             string   `koanf:"file" usage:"the Icinga CA's certificate (PEM), instead of a fingerprint"`
		TrustOnFirstUse  bool     `koanf:"trust_on_first_use" usage:"believe the first CA that is seen, instead of a fingerprint"`
		Ticket           []string `koanf:"ticket" oneof:"self-service director icinga-api static none" usage:"where the ticket comes from, one or several in the order in which they are tried: self-service, director, icinga-api, static, none (wait for approval)"`
		StaticTicket     string   `koanf:"static_ticket" secret:"yes" usage:"the ticket of ca.ticket: static"`
		StaticTicketFile string   `koanf:"static_ticket_file" usage:"file that holds the ticket of ca.ticket: static"`
	} `koanf:"ca"`
	API struct {
		Address         string `koanf:"address" form:"^$|^[^@]+@[^ /,@]+$" usage:"Icinga 2 API that gives tickets, name@host:port; default: ca.endpoints, else the parents, one after the other"`
		User            string `koanf:"user" usage:"its ApiUser"`
		Password        string `koanf:"password" secret:"yes" usage:"that user's password"`
		PasswordFile    string `koanf:"password_file" usage:"file that holds that user's password"`
		CertificateFile string `koanf:"certificate_file" usage:"client certificate (PEM) for it, instead of a password"`
		KeyFile         string `koanf:"key_file" usage:"the client certificate's key (PEM)"`
	} `koanf:"api"`
	Key struct {
		Type        string `koanf:"type" oneof:"ecdsa-p256 ecdsa-p384 ed25519 rsa-3072 rsa-4096" usage:"ecdsa-p256, ecdsa-p384, ed25519, rsa-3072 or rsa-4096"`
		Store       string `koanf:"store" oneof:"file tpm" usage:"where an API client's new keys are: file, or tpm (a TPM 2.0, which they never leave)"`
		TPMDevice   string `koanf:"tpm_device" form:"^$|absolute" usage:"the TPM: a device, or the socket of an emulator; default: the system's own"`
		TPMAuth     string `koanf:"tpm_auth" secret:"yes" usage:"auth value of keys in the TPM; default: they have none"`
		TPMAuthFile string `koanf:"tpm_auth_file" usage:"file that holds the auth value of keys in the TPM"`
		Owner       string `koanf:"owner" usage:"account that the files of an API client, and their folder, belong to; default: the folder's"`
		Group       string `koanf:"group" usage:"group that they belong to, and that may read the key; default: the folder's, which may not"`
	} `koanf:"key"`
	Paths struct {
		State string `koanf:"state" form:"folder" usage:"folder of icinga-enroll's own state"`
		Certs string `koanf:"certs" form:"folder" usage:"folder where the Icinga agent looks for <CN>.key, <CN>.crt and ca.crt"`
	} `koanf:"paths"`
	Hooks struct {
		PostRenew [][]string `koanf:"post_renew" usage:"programs to run after a change, as [[\"systemctl\", \"reload\", \"x\"]]; no shell"`
		OnFailure [][]string `koanf:"on_failure" usage:"programs to run when things begin to fail"`
	} `koanf:"hooks"`
	Metrics struct {
		Textfile string `koanf:"textfile" form:"^$|absolute.*[.]prom$" usage:"file for node_exporter's textfile collector, written by run"`
	} `koanf:"metrics"`
	Log struct {
		Format string `koanf:"format" oneof:"text json" usage:"of run: text or json"`
		Level  string `koanf:"level" oneof:"debug info warn error" usage:"of run: debug, info, warn or error"`
	} `koanf:"log"`
	Agent struct {
		Manage         string   `koanf:"manage" oneof:"auto always never" usage:"the agent's configuration: auto (what a package has shipped or icinga-enroll written), always (whatever is there), never"`
		ConfigDir      string   `koanf:"config_dir" form:"^$|folder" usage:"the agent's configuration folder; default: as the installed Icinga 2 says"`
		DataDir        string   `koanf:"data_dir" form:"^$|folder" usage:"the agent's data folder; default: as the installed Icinga 2 says"`
		Listen         string   `koanf:"listen" form:"^$|:[0-9]+$" usage:"where the agent listens, host:port; default: [::] and the port that the Director says, or 5665"`
		Validate       []string `koanf:"validate" usage:"program that validates the agent's configuration; default: icinga2 daemon -C"`
		Reload         []string `koanf:"reload" usage:"program that has the agent read its configuration; default: the service icinga2 is reloaded"`
		AcceptCommands bool     `koanf:"accept_commands" usage:"let the parents run checks on this node"`
		Overwrite      bool     `koanf:"overwrite" usage:"write the agent's files anew that somebody has changed since"`
		Follow         bool     `koanf:"follow" usage:"go along when the Director's parameters change, where the agent gets a connection with them"`
		Zone           string   `koanf:"zone" usage:"the parents' zone, where no Director says so"`
		Parents        []string `koanf:"parents" form:"^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}(@[^ /,@]*)?$" usage:"the parents, name@host:port or name (it connects to this node), where no Director says so"`
		GlobalZones    []string `koanf:"global_zones" usage:"global zones besides global-templates and director-global, with agent.parents"`
	} `koanf:"agent"`
}

func defaults(paths platform.Paths) map[string]any {
	return map[string]any{
		"profile":               profileAgent,
		"first_run_splay":       "0",
		"clone_policy":          string(enroll.CloneReenroll),
		"ca.ticket":             "self-service",
		"key.type":              string(pki.ECDSAP256),
		"key.store":             string(enroll.InFile),
		"paths.state":           paths.State,
		"paths.certs":           paths.Certs,
		"agent.manage":          "auto",
		"agent.accept_commands": true,
		"log.format":            "text",
		"log.level":             "info",
	}
}

// setting is one line of the configuration.
type setting struct {
	key     string // "director.url"
	flag    string // "director-url"
	kind    kind
	usage   string
	choices []string // the only values; none: any
	form    string   // regular expression of its texts, not stricter than what checks them
	secret  bool
}

// kind is the type of a setting's value.
type kind = reflect.Type

var (
	kindText    = reflect.TypeFor[string]()
	kindBool    = reflect.TypeFor[bool]()
	kindList    = reflect.TypeFor[[]string]()
	kindVectors = reflect.TypeFor[[][]string]() // programs with their arguments
)

func (s setting) env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
}

const envPrefix = "ICINGA_ENROLL_"

// allSettings are the fields of config in their order. Every verb has a flag for
// each, so they are read once.
var allSettings = sync.OnceValue(readSettings)

func readSettings() []setting {
	var all []setting
	groups := reflect.TypeFor[config]()
	for group := range groups.Fields() {
		if group.Type == kindText { // it stands for itself
			all = append(all, newSetting("", group))
			continue
		}
		for field := range group.Type.Fields() {
			all = append(all, newSetting(group.Tag.Get("koanf")+".", field))
		}
	}
	return all
}

func newSetting(group string, field reflect.StructField) setting {
	key := group + field.Tag.Get("koanf")
	return setting{
		key:     key,
		flag:    strings.NewReplacer(".", "-", "_", "-").Replace(key),
		kind:    field.Type,
		usage:   field.Tag.Get("usage"),
		choices: strings.Fields(field.Tag.Get("oneof")),
		form:    strings.NewReplacer("absolute", absolutePath(), "folder", ownFolder()).Replace(field.Tag.Get("form")),
		secret:  field.Tag.Get("secret") != "",
	}
}

func findSetting(match func(setting) bool) (setting, bool) {
	all := allSettings()
	if i := slices.IndexFunc(all, match); i >= 0 {
		return all[i], true
	}
	return setting{}, false
}

// addSettings gives flags a flag for every setting that isn't a secret (a
// command line can be read by every account of the machine) nor a program.
func addSettings(flags *pflag.FlagSet) {
	for _, s := range allSettings() {
		switch {
		case s.secret, s.kind == kindVectors:
		case s.kind == kindBool:
			flags.Bool(s.flag, false, s.usage)
		case s.kind == kindList:
			flags.StringSlice(s.flag, nil, s.usage)
		default:
			flags.String(s.flag, "", s.usage)
		}
	}
}

// layer is one source of settings: values by key, and where each was found.
type layer struct {
	values map[string]any
	origin map[string]string
}

func newLayer() layer { return layer{map[string]any{}, map[string]string{}} }

func (l layer) set(key string, value any, origin string) {
	l.values[key] = value
	l.origin[key] = origin
}

// loaded is the configuration in force, with the origin of each value.
type loaded struct {
	config
	instance instance
	file     string
	origin   map[string]string
	values   map[string]any
	awaited  []string // credentials that the service is to get

	purpose
}

// load reads the file, the environment and the flags; the later one wins.
func load(flags *pflag.FlagSet) (*loaded, error) {
	in := instanceOf(flags)
	if err := platform.Guarded(in.paths.Config); err != nil {
		return nil, usage("configuration: %w", err)
	}
	fromFile, err := fileLayer(in.paths.Config, in.asked)
	if err != nil {
		return nil, err
	}
	fromEnv, err := envLayer(os.Environ())
	if err != nil {
		return nil, err
	}
	base := newLayer()
	for key, value := range defaults(in.paths) {
		base.set(key, value, "default")
	}
	c := &loaded{instance: in, file: in.paths.Config, origin: map[string]string{}}
	k := koanf.New(".")
	for _, l := range []layer{base, fromFile, fromEnv, flagLayer(flags)} {
		if err := k.Load(confmap.Provider(l.values, "."), nil); err != nil {
			return nil, usage("configuration: %w", err)
		}
		for key, origin := range l.origin {
			c.origin[key] = origin
		}
	}
	c.derive(k)
	c.values = k.All()
	// Every layer has known keys and right types by now: nothing is left that
	// koanf could decode weakly or drop.
	if err := k.Unmarshal("", &c.config); err != nil {
		return nil, usage("configuration: %w", err)
	}
	return c, errors.Join(c.refuseReadable(fromFile), c.refuseReplaceable())
}

// derive sets the defaults that depend on other settings.
func (c *loaded) derive(k *koanf.Koanf) {
	set := func(key string, value any, origin string) {
		if c.origin[key] == "default" {
			_ = k.Set(key, value) // a valid key
			c.origin[key] = origin
		}
	}
	switch data := k.String("agent.data_dir"); {
	case k.String("profile") == profileClient:
		set("paths.certs", filepath.Join(k.String("paths.state"), "certs"), "paths.state")
		set("ca.ticket", []string{"none"}, "profile")
		set("agent.manage", "never", "profile")
	case data != "":
		set("paths.certs", filepath.Join(data, "certs"), "agent.data_dir")
	}
}

// isSet reports whether a text is set, which an empty one is not.
func (c *loaded) isSet(key string) bool { return c.values[key] != nil && c.values[key] != "" }

// where names a setting and the place where it was set, for an error message.
func (c *loaded) where(key string) string {
	if origin := c.origin[key]; origin != "" && origin != "default" {
		return key + " (" + origin + ")"
	}
	return key
}

func envLayer(environ []string) (layer, error) {
	l := newLayer()
	for _, entry := range environ {
		name, text, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		s, known := findSetting(func(s setting) bool { return s.env() == name })
		if !known {
			return l, usage("unknown environment variable %s: \"icinga-enroll config\" lists what can be set", name)
		}
		value, err := s.parse(text)
		if err != nil {
			return l, usage("environment variable %s: %w", name, err)
		}
		l.set(s.key, value, name)
	}
	return l, nil
}

func (s setting) parse(text string) (any, error) {
	switch s.kind {
	case kindBool:
		value, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("want true or false, not %q", text)
		}
		return value, nil
	case kindVectors:
		var doc yaml.Node
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil || len(doc.Content) == 0 {
			return nil, errVectors
		}
		return decodeVectors(doc.Content[0])
	case kindList:
		list := []string{}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list, nil
	default:
		return text, nil
	}
}

func flagLayer(flags *pflag.FlagSet) layer {
	l := newLayer()
	for _, s := range allSettings() {
		f := flags.Lookup(s.flag)
		if f == nil || !f.Changed {
			continue
		}
		switch s.kind {
		case kindBool:
			value, _ := flags.GetBool(f.Name)
			l.set(s.key, value, "--"+f.Name)
		case kindList:
			value, _ := flags.GetStringSlice(f.Name)
			l.set(s.key, value, "--"+f.Name)
		default:
			l.set(s.key, f.Value.String(), "--"+f.Name)
		}
	}
	return l
}
