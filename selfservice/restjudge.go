package selfservice

import "errors"

// What a caller of a [Controller] may branch on, beside [ErrNotAgent]; all are
// permanent. Test for them with [errors.Is].
var (
	// ErrNoHost: no host or template has this name, or the user's role hides it.
	ErrNoHost = errors.New("the Director has no such host")
	// ErrHostExists: a host or template has this name.
	ErrHostExists = errors.New("the Director has a host of this name")
	// ErrLoginRejected: the Icinga Web user or the password is wrong.
	ErrLoginRejected = errors.New("the user or the password is not accepted")
	// ErrNoPermission: the user's roles lack a permission.
	ErrNoPermission = errors.New("the Icinga Web user lacks a permission")
)

// errNoImport is a template that isn't there.
var errNoImport = errors.New("the Director has no such template")

// restVerdicts were observed on Director 1.10.2, unless they say otherwise. It
// has two words for what its database refuses, depending on whether the refusal
// is valid UTF-8: a text with the object's binary id in it is not.
var restVerdicts = append([]verdict{
	{message: re(`^No such object available`), is: ErrNoHost, advice: adviceNoHost},
	{message: re(`^Trying to recreate icinga_host `), is: ErrHostExists, advice: "Change that host, or give this one another name."},
	{message: re(`^Unable to load parent referenced from host `), is: errNoImport, advice: adviceImport},
	{message: re(`^Unable to load object \(zone: .*\) referenced from `), advice: "Correct the name of the zone, or make the zone in the Director."},
	{message: re(`^Got invalid parent id `), advice: "A host was imported as if it were a template, and the Director deploys nothing until that is mended in its database: " +
		"delete the host that is named here from the table icinga_host."},
	{message: re(`^No permission for director/admin`), is: ErrNoPermission, advice: adviceAdmin},
	{message: re(`^No permission for `), is: ErrNoPermission, advice: advicePermission},
	// Directors 1.11.4 and 1.12.1 look whose host it is before they have read it.
	{message: re(`^Call to a member function getObjectName\(\) on null`), is: ErrNoPermission, advice: "So the Director tells a user without the permission director/hosts. " + advicePermission},
	{message: re(`^You are not allowed to access this API`), is: ErrNoPermission, advice: "The permission director/api is missing. " + advicePermission},
	// Director 1.12.1 says of which class the error is.
	{message: re(`^(gipfl\\Json\\JsonEncodeException: )?Malformed UTF-8 characters`), advice: adviceDatabase},
	{message: re(`^SQLSTATE\[2[23]`), advice: adviceDatabase},
	{message: re(`^Trying to set invalid key `), advice: "This version of the Director does not know the property."},
	{message: re(`^API request failed: Conflicting request`), temporary: true, advice: "The master is busy with another deployment: try again when that is over."},
	{message: re(`^Config deployment failed`), temporary: true, advice: adviceDeployFailed},
}, masterVerdicts...)

const (
	adviceNoHost = "Is the name right, and does no restriction of the user's role (director/filter/…) hide it?"
	adviceImport = "Is each of the host's templates in the Director?"
	// The four are named since whoever lacks one often lacks the next.
	advicePermission = "Give a role of this Icinga Web user (Configuration, Access Control, Roles) what it lacks: " +
		"module/director, director/api and director/hosts, and director/deploy to deploy."
	adviceAdmin    = "Only a role with director/admin may see the Director's endpoints and zones."
	adviceDatabase = "Observed for a key that another host or template has or that is over 40 characters, for no name at all and one that is taken, " +
		"a name or display name over 255 characters, an IPv6 address over 45, a character that the Director's database does not store (such as an emoji), " +
		"and for deleting a template that is in use."
	adviceDeployFailed  = "The master has not taken the configuration: its log, and the Director's under \"Deployments\", may say why."
	adviceLoginRejected = "Check the name and the password of the Icinga Web user, and that the user is active there. Icinga Web says the same while its database is away."
	adviceRESTForbidden = "Something before the Director refuses the call: its web server must let an Icinga Web user through who logs in with Basic authentication."
	adviceLoginPage     = "The server wants a person to log in: does something on the way to the Director change the header Accept, or ask for a login of its own?"
)

// loginRejected is a 401. Icinga Web sends it with an empty page, also where it
// can't look the user up (observed with its database down, on Debian 12).
func (e *Error) loginRejected() {
	e.Message = ErrLoginRejected.Error()
	e.causes = append(e.causes, ErrLoginRejected)
	e.advice = adviceLoginRejected
}
