//go:build !linux && !windows

package pki

import (
	"fmt"
	"runtime"

	"github.com/google/go-tpm/tpm2/transport"
)

func (t *TPM) name() string { return "the TPM" }

func (t *TPM) open() (transport.TPMCloser, error) {
	return nil, fmt.Errorf("%w: there is no way to a TPM on %s", errNoWay, runtime.GOOS)
}
