package platform

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/windows"
)

// GuardDir is [MakeDir] for a folder with files that SYSTEM obeys. One that is
// there already gets the rights of a new one. In %ProgramData% every account may
// make folders: a folder, or anything in it, that belongs to another account than
// SYSTEM, Administrators or the one that runs this program is refused, since what
// it says is not theirs.
func GuardDir(path string) (*Dir, error) {
	dir, err := MakeDir(path, 0o755)
	if err != nil {
		return nil, err
	}
	if err := dir.guard(); err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

// guard takes the rights of others away before it looks what they have left.
func (d *Dir) guard() error {
	if err := protect(d.path); err != nil {
		return explain("protect the folder "+d.path, err)
	}
	names, err := d.Names()
	for _, name := range names {
		if err == nil {
			err = eachOfKeepers(d.join(name))
		}
	}
	return err
}

func eachOfKeepers(path string) error {
	handle, err := openItself(path, windows.READ_CONTROL)
	if err != nil {
		return explain("look at "+path, err)
	}
	defer func() { _ = windows.CloseHandle(handle) }()
	return ofKeepers(handle, path)
}

// protect gives a folder the rights of a new one. They go to what is in it, too,
// where that has none of its own.
func protect(path string) error {
	handle, err := openItself(path, windows.READ_CONTROL|windows.WRITE_DAC)
	if err != nil {
		return err
	}
	defer func() { _ = windows.CloseHandle(handle) }()
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(handle, &info); err != nil {
		return err
	}
	if info.FileAttributes&windows.FILE_ATTRIBUTE_REPARSE_POINT != 0 {
		return errors.New("it is a link to another place: look who made it, then remove it")
	}
	if err := ofKeepers(handle, path); err != nil {
		return err
	}
	rights, err := windows.SecurityDescriptorFromString(rightsOfFolder(0o755))
	if err != nil {
		return err
	}
	list, _, err := rights.DACL()
	if err != nil {
		return err
	}
	return windows.SetSecurityInfo(handle, windows.SE_FILE_OBJECT,
		windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, list, nil)
}

// openItself opens a file or folder; of a link, the link.
func openItself(path string, access uint32) (windows.Handle, error) {
	text, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	const shared = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE
	const itself = windows.FILE_FLAG_BACKUP_SEMANTICS | windows.FILE_FLAG_OPEN_REPARSE_POINT
	handle, err := windows.CreateFile(text, access, shared, nil, windows.OPEN_EXISTING, itself, 0)
	if err != nil {
		return 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return handle, nil
}

// ofKeepers refuses what belongs to others.
func ofKeepers(handle windows.Handle, path string) error {
	security, err := windows.GetSecurityInfo(handle, windows.SE_FILE_OBJECT, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return err
	}
	owner, _, err := security.Owner()
	if err != nil {
		return err
	}
	keepers, err := keepersOfFiles()
	if err != nil {
		return err
	}
	return refuseOthers(owner, keepers, path)
}

func refuseOthers(owner *windows.SID, keepers []*windows.SID, path string) error {
	if slices.ContainsFunc(keepers, owner.Equals) {
		return nil
	}
	return fmt.Errorf("%s belongs to %s, who could have put anything there: look at it, then remove it or give it to Administrators (icacls \"%s\" /setowner *S-1-5-32-544)", path, nameOf(owner), path)
}

// keepersOfFiles are SYSTEM, Administrators and the account of this process.
func keepersOfFiles() ([]*windows.SID, error) {
	system, err := windows.CreateWellKnownSid(windows.WinLocalSystemSid)
	if err != nil {
		return nil, err
	}
	administrators, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		return nil, err
	}
	mine, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, err
	}
	return []*windows.SID{system, administrators, mine.User.Sid}, nil
}

// nameOf returns an account as people know it, or its number.
func nameOf(sid *windows.SID) string {
	account, domain, _, err := sid.LookupAccount("")
	if err != nil {
		return sid.String()
	}
	return domain + `\` + account
}
