package enroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"icinga-enroll/enroll/secret"
	"icinga-enroll/pki"
	"icinga-enroll/platform"
)

// ExportFormat is how a certificate is handed to another program.
type ExportFormat string

// In which form.
const (
	ExportPEM    ExportFormat = "pem"    // key, certificate and CA in one file
	ExportPKCS12 ExportFormat = "pkcs12" // the same under a password
	ExportCurl   ExportFormat = "curl"   // a file for curl --config, which names the files in the certs folder
)

// ExportFormats lists them.
func ExportFormats() []ExportFormat { return []ExportFormat{ExportPEM, ExportPKCS12, ExportCurl} }

// ErrNoPassword is a PKCS#12 file that was to have none. It is said of what can be
// exported at all.
var ErrNoPassword = errors.New("--password-file: a PKCS#12 file needs a password, most programs refuse one without")

// ErrOwnFolder is a file to export to where only this program and the agent write:
// it could be the private key, and no other program knows what to remove from there.
var ErrOwnFolder = errors.New("in paths.certs or paths.state, where nothing is exported to: choose another folder")

// Export says what to write where.
type Export struct {
	Format   ExportFormat
	File     string      // that isn't there yet
	Replace  bool        // File may be there, if it is a regular file
	Password secret.Text // of ExportPKCS12
	Legacy   bool        // encrypt as old importers of PKCS#12 want it
}

// Export writes the certificate in force, with its key, into a file of mode 0600
// and of who runs this. It asks no server. A file that is there is an error,
// fs.ErrExist, unless it may be replaced: then whoever opens it sees the old one
// or the new one, as a whole. One in the state or certs folder is ErrOwnFolder.
func (e *Enroller) Export(ctx context.Context, x Export) error {
	n, err := e.inForce(ctx)
	if err != nil {
		return err
	}
	defer n.close()
	data, err := n.export(x)
	if err != nil {
		return err
	}
	dir, err := platform.OpenDir(filepath.Dir(x.File))
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if n.isOwnFolder(dir.Path()) {
		return fmt.Errorf("%s is %w", x.File, ErrOwnFolder)
	}
	if x.Replace {
		return replaceExported(dir, x, data)
	}
	err = dir.CreateFile(filepath.Base(x.File), data, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is not overwritten: say --replace, or choose another name (%w)", x.File, fs.ErrExist)
	}
	return err
}

// replaceExported leaves alone what nobody has exported: a folder, a device, a
// link, which is somebody's way to another file.
func replaceExported(dir *platform.Dir, x Export, data []byte) error {
	mode, _, err := dir.Attributes(filepath.Base(x.File))
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !mode.IsRegular():
		return fmt.Errorf("%s is no regular file, and is not replaced: choose another name (%w)", x.File, fs.ErrExist)
	}
	return dir.WriteFile(filepath.Base(x.File), data, 0o600, platform.Owner{})
}

// isOwnFolder reports whether the folder at path is, or is below, the state or
// certs folder, however it is written.
func (n *node) isOwnFolder(path string) bool {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	for above := ""; path != above; above, path = path, filepath.Dir(path) {
		if platform.IsSameFile(path, n.StateDir) || platform.IsSameFile(path, n.CertsDir) {
			return true
		}
	}
	return false
}

// inForce opens a node that has a valid certificate; others are an error. It is
// closed by the caller.
func (e *Enroller) inForce(ctx context.Context) (*node, error) {
	n, err := e.look()
	if err != nil {
		return nil, err
	}
	err = n.walk(ctx, []step{
		{name: "machine", do: n.stillSameMachine},
		{name: "identity", do: n.ownName},
		{name: "certificate", do: n.verifyCertificate},
	})
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *node) export(x Export) ([]byte, error) {
	if x.Format != ExportCurl && pki.InTPM(n.pair.key) {
		return nil, fmt.Errorf("the key of %s is in the TPM, which gives it to nobody: a program uses it there, by OpenSSL's provider tpm2, with %s as the file of its key (export --format curl)", n.name, n.keyFile())
	}
	switch x.Format {
	case ExportPEM:
		b := n.wholeBundle()
		key, err := pki.EncodeKey(b.Key)
		if err != nil {
			return nil, err
		}
		return slices.Concat(key, pki.EncodeCertificates(b.Certificate), pki.EncodeCertificates(b.CA...)), nil
	case ExportPKCS12:
		if x.Password.IsZero() {
			return nil, ErrNoPassword
		}
		return pki.EncodePKCS12(n.wholeBundle(), x.Password, x.Legacy)
	default:
		return n.curlConfig()
	}
}

// wholeBundle is the pair in force with the CAs behind it, and those beside it
// that are trusted.
func (n *node) wholeBundle() pki.Bundle {
	b := pki.Bundle{Key: n.pair.key, Certificate: n.pair.cert}
	_, roots, _ := n.readPair() // it was read just now
	all := slices.Clone(roots)
	if !slices.ContainsFunc(roots, n.pair.ca.Equal) {
		all = append(all, n.pair.ca)
	}
	trusted, _ := n.trust().Sift(all)
	b.CA = append(slices.Clone(n.pair.chain), trusted...)
	return b
}

// curlConfig is for curl --config. The parent's certificate is for its name,
// which need not be resolved.
func (n *node) curlConfig() ([]byte, error) {
	name, address, err := n.firstParent()
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	lines := [][2]string{
		{"cert", n.certFile()},
		{"key", n.keyFile()},
		{"cacert", filepath.Join(n.CertsDir, caFile)},
		{"header", "Accept: application/json"}, // without it Icinga answers in HTML
		{"url", "https://" + net.JoinHostPort(name, port) + "/v1/"},
	}
	if host != name {
		lines = append(lines, [2]string{"connect-to", net.JoinHostPort(name, port) + ":" + address})
	}
	var text strings.Builder
	if pki.InTPM(n.pair.key) {
		text.WriteString("# The key is in the TPM: curl uses it by OpenSSL's provider tpm2 (with OpenSSL 3.5; with 3.0 it can't).\n")
	}
	for _, line := range lines {
		fmt.Fprintf(&text, "%s = \"%s\"\n", line[0], curlEscapes.Replace(line[1]))
	}
	return []byte(text.String()), nil
}

// curlEscapes are those of curl's manual page, for a value in quotes.
var curlEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`, "\n", `\n`, "\r", `\r`, "\v", `\v`)

// firstParent is the one to which a program that needs one address is sent.
func (n *node) firstParent() (name, address string, err error) {
	eps, err := n.candidates()
	if err != nil {
		return "", "", fmt.Errorf("it isn't known where a parent's API is: %w", err)
	}
	if len(n.Endpoints) == 0 && len(n.parameters().Parents) > 0 {
		return n.parameters().Parents[0].Name, eps[0].Address, nil
	}
	if len(n.Endpoints) > 0 {
		name = n.Endpoints[0].Name
	}
	return cmp.Or(name, eps[0].Names[0]), eps[0].Address, nil
}
