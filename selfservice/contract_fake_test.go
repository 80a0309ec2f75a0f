package selfservice_test

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"icinga-enroll/selfservice/selfservicetest"
)

// TestContractFake holds the fake to what a real Director answers.
func TestContractFake(t *testing.T) { runContract(t, newFake(t).contract()) }

// TestFakeAtOnce lets twelve registrations into the fake at the same moment;
// on a slow machine they would else come one after the other.
func TestFakeAtOnce(t *testing.T) {
	f := newFake(t)
	var arrived sync.WaitGroup
	arrived.Add(12)
	f.Fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "/register-host") {
			arrived.Done()
			arrived.Wait()
		}
		return false
	}
	testAtOnce(t, f.contract())
}

func (f *fake) contract() *contractDirector {
	return &contractDirector{
		url:        f.URL(),
		roots:      f.RootCAs(),
		template:   "agent",
		key:        agentKey,
		noAgent:    "no-agent",
		noAgentKey: noAgentKey,
		endpoint:   "master",
		masters:    []masterState{wrongPassword, unreachable, noPermission, noSalt},
		login:      f.login,
		backstage:  f,
	}
}

// login gives each account a password of its own, and what it may do.
func (f *fake) login(a account) (user, password string) {
	if a == wrongLogin {
		return string(admin), "not the password"
	}
	password = "password of " + string(a)
	f.SetUser(selfservicetest.User{Name: string(a), Password: password, Permissions: map[account][]string{
		controller: {"module/director", "director/api", "director/hosts"},
		noModule:   {"director/api", "director/hosts"},
		noAPI:      {"module/director", "director/hosts"},
		noHosts:    {"module/director", "director/api"},
	}[a]})
	return string(a), password
}

const (
	agentKey   = "4084f4ebf84e57f9197a62c419693f73d91a887a"
	noAgentKey = "2d9fa8adfe8e64aa7023cbff772e3513203a000a"
)

// A fake is a Director whose master can be broken.
type fake struct {
	*selfservicetest.Director
	broken atomic.Pointer[string] // the error that the Director has with its master
}

func (f *fake) ticket(name string) (string, error) {
	if message := f.broken.Load(); message != nil {
		return "", errors.New(*message)
	}
	return fmt.Sprintf("%x", sha1.Sum([]byte(name))), nil
}

// newFake starts a Director with two templates.
func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{Director: selfservicetest.New()}
	f.Ticket = f.ticket
	f.Master = func() error { _, err := f.ticket(""); return err }
	f.SetTemplate(selfservicetest.Template{
		Name: "agent", Key: agentKey, Zone: "master", AcceptConfig: true,
		Parents: []selfservicetest.Parent{{Name: "master", Host: "192.0.2.5", Port: "5665"}},
	})
	f.SetTemplate(selfservicetest.Template{Name: "agent, called", Zone: "master", AcceptConfig: true, MasterShouldConnect: true,
		Parents: []selfservicetest.Parent{{Name: "master", Host: "192.0.2.5", Port: "5665"}}})
	f.SetTemplate(selfservicetest.Template{Name: "no-agent", Key: noAgentKey, NoAgent: true})
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fake) host(_ *testing.T, name string) (contractHost, bool) {
	h, ok := f.Host(name)
	return contractHost{template: h.Template, key: h.Key, displayName: h.DisplayName, address: h.Address, address6: h.Address6}, ok
}

func (f *fake) setHost(_ *testing.T, name string, h contractHost) {
	if h.masterShouldConnect {
		h.template = "agent, called"
	}
	f.SetHost(selfservicetest.Host{Name: name, Template: h.template, Key: h.key,
		DisplayName: h.displayName, Address: h.address, Address6: h.address6})
}

func (f *fake) dropKey(_ *testing.T, name string)             { f.DropKey(name) }
func (f *fake) renameHost(_ *testing.T, name, newName string) { f.RenameHost(name, newName) }
func (f *fake) deleteHost(_ *testing.T, name string)          { f.DeleteHost(name) }

func (f *fake) breakMaster(t *testing.T, how masterState) {
	message := map[masterState]string{
		wrongPassword: "Unable to authenticate, please check your API credentials",
		unreachable:   "CURL ERROR: Failed to connect to 127.0.0.1 port 1: Connection refused",
		noPermission:  "The requested path 'v1/actions/generate-ticket' could not be found or the request method is not valid for this path.",
		noSalt:        "Ticket salt is not configured in ApiListener object",
	}[how]
	f.broken.Store(&message)
	t.Cleanup(func() { f.broken.Store(nil) })
}
