package gateway

import (
	_ "embed"

	"github.com/gofiber/fiber/v2"
)

// homePage is self-contained: it loads nothing and runs nothing.
//
//go:embed home.html
var homePage []byte

// home is the page for people who open the address in a browser.
func (s *Server) home(c *fiber.Ctx) error {
	c.Set(fiber.HeaderContentSecurityPolicy, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	c.Set(fiber.HeaderXFrameOptions, "DENY")
	c.Set(fiber.HeaderReferrerPolicy, "no-referrer")
	c.Set(fiber.HeaderContentType, fiber.MIMETextHTMLCharsetUTF8)
	return c.Send(homePage)
}
