//go:build unix

package agent

// programs are the places of icinga2: a service's PATH may lack the second.
func programs() []string { return []string{"icinga2", "/usr/sbin/icinga2", "/usr/local/sbin/icinga2"} }

// Owner names another program that looks after the agent here; "" where there
// is none.
func Owner() string { return "" }
