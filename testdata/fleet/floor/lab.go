package floor

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

// Lab is the real Icinga 2 and Director of testdata/lab, as its lab.json has it.
type Lab struct {
	Dir         string `json:"LAB_DIR"`
	Director    string `json:"LAB_DIRECTOR_URL_IPV4"`
	DirectorCA  string `json:"LAB_DIRECTOR_CA_FILE"`
	TemplateKey string `json:"LAB_TEMPLATE_KEY"`
	Template    string `json:"LAB_TEMPLATE"`
	Master      string `json:"LAB_MASTER_ADDRESS"`
	CAPin       string `json:"LAB_CA_SPKI"`

	Roots *x509.CertPool `json:"-"` // of the Director
}

// ReadLab reads the file that the environment's ENROLL_LAB names.
func ReadLab() (*Lab, error) {
	file := os.Getenv("ENROLL_LAB")
	if file == "" {
		return nil, errors.New("ENROLL_LAB must name the lab.json of a running lab (testdata/lab/lab up)")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	lab := &Lab{Roots: x509.NewCertPool()}
	if err := json.Unmarshal(data, lab); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	ca, err := os.ReadFile(lab.DirectorCA)
	if err != nil {
		return nil, err
	}
	if !lab.Roots.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate", lab.DirectorCA)
	}
	return lab, nil
}

// Client is the bare client of the lab.
func (l *Lab) Client() (*Client, error) { return New(l.Director, l.Roots, l.TemplateKey, l.Master) }
