package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// page is a manual page in the making, in the language of man(7).
type page struct{ strings.Builder }

func newPage(name, number, what string) *page {
	p := &page{}
	fmt.Fprintf(p, ".TH %s %s %s \"icinga-enroll %s\"\n", strings.ToUpper(roff(name)), number, buildDate().UTC().Format(time.DateOnly), roff(version()))
	p.section("NAME")
	fmt.Fprintf(p, "%s \\- %s\n", roff(name), roff(what))
	return p
}

func (p *page) section(title string) { fmt.Fprintf(p, ".SH %s\n", quoteRoff(title)) }

// text writes paragraphs; indented lines are kept as they are.
func (p *page) text(text string) {
	kept := false
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		if indented := strings.HasPrefix(line, "  "); indented != kept {
			kept = indented
			fmt.Fprintln(p, map[bool]string{true: ".PP\n.nf", false: ".fi\n.PP"}[kept])
		}
		fmt.Fprintln(p, cmp.Or(roff(line), ".PP"))
	}
	if kept {
		fmt.Fprintln(p, ".fi")
	}
}

// item writes a term and what it means.
func (p *page) item(term, meaning string) {
	fmt.Fprintf(p, ".TP\n.B %s\n%s\n", roff(term), roff(meaning))
}

// roff escapes what man(7) would take for a request, an escape or a hyphen.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`, "…", "...", "–", `\(en`).Replace(text)
	if strings.HasPrefix(text, ".") {
		return `\&` + text
	}
	return text
}

func quoteRoff(text string) string { return `"` + strings.ReplaceAll(roff(text), `"`, `\(dq`) + `"` }

// manOfVerbs is icinga-enroll(1), made of what --help says.
func manOfVerbs(root *cobra.Command) string {
	p := newPage("icinga-enroll", "1", root.Short)
	p.section("SYNOPSIS")
	p.text("icinga-enroll [--config FILE] [--instance NAME] VERB [OPTION...]")
	p.section("DESCRIPTION")
	about, _, _ := strings.Cut(root.Long, exitHelp)
	p.text(about)
	p.section("OPTIONS OF EVERY VERB")
	p.flags(root.PersistentFlags())
	p.section("VERBS")
	p.text("Each setting of icinga-enroll.yml(5) that holds neither a secret nor a program is an option of the verbs that enrol, too: director.url is --director-url.")
	p.verbs(root)
	p.section("EXIT STATUS")
	p.text(indent(exitHelp))
	p.text("status: 0 enrolled, 1 not, 3 waiting for approval. service status: 0 running, 3 stopped or failed, 4 not installed. check: 0 to 3, as monitoring plugins do.")
	p.section("ENVIRONMENT")
	p.text("ICINGA_ENROLL_ and a setting's name, as ICINGA_ENROLL_DIRECTOR_URL, overrides the configuration file; lists have commas. CREDENTIALS_DIRECTORY is where systemd leaves credentials. HTTPS_PROXY and NO_PROXY are those for the Director.")
	p.section("FILES")
	for _, file := range manFiles {
		p.item(file.path, file.is)
	}
	p.section("REMOVING THE PACKAGE")
	p.text(manRemoval)
	p.section("SEE ALSO")
	p.text("icinga-enroll.yml(5), icinga2(8), systemd.exec(5)")
	return p.String()
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

var manFiles = []struct{ path, is string }{
	{"/etc/icinga-enroll/config.yml", "the configuration, see icinga-enroll.yml(5)"},
	{"/usr/share/icinga-enroll/config.yml", "what the deb makes it of where there is none at its first installation: every setting in a comment"},
	{"/etc/icinga-enroll/NAME.yml", "that of --instance NAME"},
	{"/etc/credstore/template-key", "the template key, as a credential of systemd, instead of director.template_key_file; the service alone gets it"},
	{"/var/lib/icinga-enroll", "state: the host API key that the Director gives only once, a pending request, and status.json, which every account may read"},
	{"/var/lib/icinga2/certs", "where the Icinga agent looks for its key and certificate"},
	{"icinga-enroll.service", "the unit of the service. \"icinga-enroll service install\" enables it, and writes one of its own to /etc/systemd/system where the configuration names other folders, which an upgrade writes anew"},
	{"/etc/init.d/icinga-enroll", "the service's script where OpenRC or System V init starts it; \"icinga-enroll service install\" writes it, and its log is /var/log/icinga-enroll.log"},
	{"icinga-enroll.timer", "instead of the service: icinga-enroll renew --due, four times a day (systemctl enable --now icinga-enroll.timer)"},
	{"icinga-enroll@NAME.service", "an API client's service under the account icinga-enroll, or another one (systemctl edit icinga-enroll@NAME, [Service], User=). Its configuration is read at the start, and its hooks run as that account. A file with a secret that only root may read is handed to it by a line of that drop-in, such as LoadCredential=api-password:/etc/icinga-enroll/api-password, without a setting for it. An agent's instance has a unit icinga-enroll-NAME.service of its own, which service install writes"},
}

const manRemoval = `Removing the package stops the service and keeps configuration and state (an rpm's edited configuration as config.yml.rpmsave): the host API key can't be got again. Installed again, with the configuration under its own name, it goes on as before.

Purging it (dpkg --purge) removes /etc/icinga-enroll and /var/lib/icinga-enroll, too, unless another program, such as one in /usr/local/bin, has got the service. What stays: the key and certificate in /var/lib/icinga2/certs, the Icinga agent's configuration in /etc/icinga2 with its backups (*.orig), credentials in /etc/credstore, folders that the configuration names elsewhere, what one of the two folders is a symbolic link to (with the host API key), the system account icinga-enroll, and the host in the Director. "icinga-enroll leave" before the purge removes certificate and host. Other package managers know no purge: remove the two folders by hand.`

func (p *page) verbs(parent *cobra.Command) {
	for _, cmd := range parent.Commands() {
		if cmd.Hidden || cmd.Name() == "completion" || cmd.Name() == "help" {
			continue
		}
		fmt.Fprintf(p, ".SS %s\n", quoteRoff(strings.TrimPrefix(cmd.UseLine(), "icinga-enroll ")))
		about, _, _ := strings.Cut(cmp.Or(cmd.Long, cmd.Short+"."), exitHelp)
		p.text(about)
		p.flags(cmd.LocalNonPersistentFlags())
		if cmd.Example != "" {
			p.text("\nExample:\n" + cmd.Example)
		}
		p.verbs(cmd)
	}
}

// flags writes the options that are no settings: those have a page of their own.
func (p *page) flags(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		_, isSetting := findSetting(func(s setting) bool { return s.flag == f.Name })
		if isSetting || f.Hidden || f.Name == "help" {
			return
		}
		value, meaning := pflag.UnquoteUsage(f)
		p.item(strings.TrimSpace("--"+f.Name+" "+value), meaning)
	})
}

// manOfSettings is icinga-enroll.yml(5), made of the list of settings.
func manOfSettings(defaults map[string]any) string {
	p := newPage("icinga-enroll.yml", "5", "configuration of icinga-enroll")
	p.section("DESCRIPTION")
	p.text(`/etc/icinga-enroll/config.yml, and NAME.yml beside it for --instance NAME, is YAML: groups of settings. An unknown key is an error. A file that holds a secret must not be readable by every account. "icinga-enroll config" prints what is in force and checks it; "icinga-enroll config schema" prints a JSON schema.`)
	p.section("EXAMPLE")
	p.text(`  director:
    url: https://icinga.example.com/icingaweb2/director
    template_key_file: /etc/icinga-enroll/template-key
  ca:
    fingerprint: "spki:4cd9c1501d881d93e2c575b5ee5addd49a0f2b8f9f66fe4bcbca23d4a9148ca5"`)
	before := ""
	for _, s := range allSettings() {
		if section := s.section(); section != before {
			before = section
			p.section(section)
		}
		p.item(s.key+" ("+s.kindName()+")", s.usage)
		fmt.Fprintf(p, ".br\n%s\n", roff(s.ways(defaults[s.key])))
	}
	p.section("SEE ALSO")
	p.text("icinga-enroll(1)")
	return p.String()
}

func (s setting) kindName() string {
	return map[kind]string{kindText: "text", kindBool: "true or false", kindList: "a list of texts, or one", kindVectors: "a list of programs with their arguments"}[s.kind]
}

// ways says how else a setting is set, and its default.
func (s setting) ways(value any) string {
	ways := s.env()
	if !s.secret && s.kind != kindVectors {
		ways += ", --" + s.flag
	}
	if value := s.inYAML(value); value != "" {
		ways += "; default: " + value
	}
	return ways
}
