package pki

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/google/go-tpm/tpm2/transport"
	"github.com/google/go-tpm/tpm2/transport/windowstpm"
	"github.com/google/go-tpm/tpmutil/tbs"
)

func (t *TPM) name() string { return "the TPM" }

// open asks Windows' TPM Base Services, which share the chip out.
func (t *TPM) open() (transport.TPMCloser, error) {
	if t.Device != "" {
		return nil, noDevice("Windows has one TPM, remove the setting")
	}
	device, err := windowstpm.Open()
	switch {
	case errors.Is(err, windowstpm.ErrNotTPM20):
		return nil, errOldTPM
	case errors.Is(err, tbs.ErrTPMNotFound):
		return nil, fmt.Errorf("%w (%w)", fs.ErrNotExist, err)
	case errors.Is(err, tbs.ErrAccessDenied):
		return nil, fmt.Errorf("%w (%w)", fs.ErrPermission, err)
	case err != nil:
		return nil, err
	}
	return device, nil
}
