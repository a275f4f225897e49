// Package access says who a request is from and what they may do: API keys,
// tokens of an OpenID provider, client certificates and the root key become an
// Identity (401 without one), and roles and management policies say what it may
// do (403). Where authentication is not required everybody is anonymous, and
// only policies restrict them.
package access
