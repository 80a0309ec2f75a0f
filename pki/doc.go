// Package pki gets certificates from an Icinga 2 CA: keys, the request
// certificate, PKCS#10 CSRs, bundles that are handed over, trust, the client of
// Icinga's own protocol (JSON-RPC over TLS, port 5665), and that of the HTTP API
// on the same port.
//
// Its policy:
//
//   - The client connects without a certificate of its own. A signed
//     certificate is never presented in TLS, since the server would take the
//     connection for the node's agent; it travels as "cert_request" only.
//     [API] alone shows one: what it sends is HTTP, which makes nobody an agent.
//   - Nothing is written before the handshake is complete and the peer's chain
//     has been verified against [Trust] and its name against [Endpoint].
//   - A ticket is a password. Both are sent only to an endpoint whose names are
//     given, since every node of the fleet has a certificate of the same CA.
//   - Every error says whether it is temporary (interface{ Temporary() bool })
//     except [PendingError], which is a state and no failure. Nothing is
//     logged, nothing is retried, no file is touched.
package pki
