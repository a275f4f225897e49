package cesql

import (
	"strings"
)

const (
	// maxLength bounds an expression in bytes, maxDepth its nesting: hostile input ends early.
	maxLength = 16 << 10
	maxDepth  = 500
)

// The levels of precedence, loosest first. AND, OR and XOR share the loosest
// and associate to the right: a AND b OR c is a AND (b OR c).
const (
	levelLogic = iota + 1
	levelCompare
	levelAdd
	levelMultiply
	levelIn
	levelLike
	levelUnary
)

// Parse reads an expression (CESQL 1.0). An error is an *Error of kind
// ParseError whose text begins with line and column.
func Parse(src string) (*Expression, error) {
	if len(src) > maxLength {
		return nil, &Error{ParseError, "the expression is longer than 16 KiB"}
	}
	p := &parser{src: src}
	if err := p.advance(); err != nil {
		return nil, err
	}
	root, err := p.expression(levelLogic)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokEnd {
		return nil, p.unexpected("an operator or the end")
	}
	return &Expression{root: root, text: src, unknown: p.unknown}, nil
}

type parser struct {
	src string
	tok token
	// end is where the token before tok ends.
	end     int
	depth   int
	unknown []string
}

func (p *parser) advance() (err error) {
	p.end = p.tok.pos + len(p.tok.text)
	p.tok, err = next(p.src, p.end)
	return err
}

func (p *parser) unexpected(want string) error {
	return errorAt(p.src, p.tok.pos, "found %s: want %s", p.tok, want)
}

// expect takes the operator op.
func (p *parser) expect(op string) error {
	if !p.tok.is(tokOperator, op) {
		return p.unexpected("'" + op + "'")
	}
	return p.advance()
}

// expression reads operators of level and tighter.
func (p *parser) expression(level int) (node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errorAt(p.src, p.tok.pos, "nested deeper than %d", maxDepth)
	}
	defer func() { p.depth-- }()
	start := p.tok.pos
	n, err := p.operand()
	for err == nil {
		op := p.tok
		l := levelOf(op)
		if l < level {
			break
		}
		left := p.src[start:p.end]
		if err = p.advance(); err != nil {
			break
		}
		from := p.tok.pos
		n, err = p.operator(n, op, l)
		if g, ok := n.(*logic); ok && l == levelLogic {
			g.leftText, g.rightText = left, p.src[from:p.end]
		}
	}
	return n, err
}

// levelOf is the level of a binary operator or suffix; 0 is no operator. NOT
// in this place begins NOT LIKE or NOT IN.
func levelOf(t token) int {
	switch {
	case t.kind == tokKeyword:
		switch t.text {
		case "AND", "OR", "XOR":
			return levelLogic
		case "IN":
			return levelIn
		case "LIKE", "NOT":
			return levelLike
		}
	case t.kind == tokOperator:
		switch t.text {
		case "=", "!=", "<>", "<", "<=", ">", ">=":
			return levelCompare
		case "+", "-":
			return levelAdd
		case "*", "/", "%":
			return levelMultiply
		}
	}
	return 0
}

// operator reads what follows op, which stands behind left.
func (p *parser) operator(left node, op token, level int) (node, error) {
	switch op.text {
	case "LIKE":
		return p.like(left)
	case "IN":
		return p.in(left)
	case "NOT":
		return p.negated(left)
	}
	if level != levelLogic {
		level++ // left-associative
	}
	right, err := p.expression(level)
	if err != nil {
		return nil, err
	}
	return binary(op.text, left, right), nil
}

func binary(op string, left, right node) node {
	switch op {
	case "AND":
		return &logic{op: opAnd, left: left, right: right}
	case "OR":
		return &logic{op: opOr, left: left, right: right}
	case "XOR":
		return &logic{op: opXor, left: left, right: right}
	case "=":
		return &equal{left: left, right: right}
	case "!=", "<>":
		return &equal{left: left, right: right, negate: true}
	case "<", "<=", ">", ">=":
		return &compare{op, left, right}
	}
	return &arithmetic{op[0], left, right}
}

func (p *parser) negated(left node) (n node, err error) {
	op := p.tok
	if !op.is(tokKeyword, "LIKE") && !op.is(tokKeyword, "IN") {
		return nil, p.unexpected("LIKE or IN")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	if op.text == "LIKE" {
		n, err = p.like(left)
	} else {
		n, err = p.in(left)
	}
	return not{n}, err
}

func (p *parser) like(child node) (node, error) {
	if p.tok.kind != tokString {
		return nil, p.unexpected("a string literal as pattern")
	}
	n := &like{child, compilePattern(unquote(p.tok.text))}
	return n, p.advance()
}

func (p *parser) in(child node) (node, error) {
	set, err := p.list()
	if err == nil && len(set) == 0 {
		return nil, p.unexpected("a set with at least one member before it")
	}
	return &in{child, set}, err
}

// list reads expressions in brackets, separated by commas.
func (p *parser) list() ([]node, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	if p.tok.is(tokOperator, ")") {
		return nil, p.advance()
	}
	var nodes []node
	for {
		n, err := p.expression(levelLogic)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		if !p.tok.is(tokOperator, ",") {
			return nodes, p.expect(")")
		}
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
}

// operand reads what an expression begins with.
func (p *parser) operand() (node, error) {
	t := p.tok
	if err := p.advance(); err != nil {
		return nil, err
	}
	switch {
	case t.kind == tokString:
		return literal{stringValue(unquote(t.text))}, nil
	case t.kind == tokInteger:
		i, ok := parseInteger(t.text)
		if !ok {
			return nil, errorAt(p.src, t.pos, "integer %s: want -2147483648 to 2147483647", t.text)
		}
		return literal{integerValue(i)}, nil
	case t.is(tokOperator, "("):
		n, err := p.expression(levelLogic)
		if err != nil {
			return nil, err
		}
		return n, p.expect(")")
	case t.is(tokOperator, "-"):
		n, err := p.expression(levelUnary)
		return negate{n}, err
	case t.kind == tokKeyword:
		return p.keyword(t)
	case t.kind == tokWord || t.kind == tokWordDigits || t.kind == tokFunction:
		return p.name(t)
	}
	p.tok = t
	return nil, p.unexpected("an attribute, a literal, a function, NOT, EXISTS, '-' or '('")
}

func (p *parser) keyword(t token) (node, error) {
	switch t.text {
	case "TRUE", "FALSE":
		return literal{booleanValue(t.text == "TRUE")}, nil
	case "NOT":
		n, err := p.expression(levelUnary)
		return not{n}, err
	case "EXISTS":
		if p.tok.kind != tokWord && p.tok.kind != tokWordDigits {
			return nil, p.unexpected("the name of an attribute")
		}
		n := exists{strings.ToLower(p.tok.text)}
		return n, p.advance()
	}
	p.tok = t
	return nil, p.unexpected("an attribute, a literal, a function, NOT, EXISTS, '-' or '('")
}

// name reads an attribute or a call. Names are without case.
func (p *parser) name(t token) (node, error) {
	if t.kind == tokWordDigits || (t.kind == tokWord && !p.tok.is(tokOperator, "(")) {
		name := strings.ToLower(t.text)
		return &attribute{name, &Error{MissingAttributeError, name}}, nil
	}
	args, err := p.list()
	if err != nil {
		return nil, err
	}
	name := strings.ToUpper(t.text)
	c := &call{fn: lookup(name, len(args)), args: args}
	if c.fn == nil {
		u := unknownCall(name, len(args))
		c.missing = &Error{MissingFunctionError, u}
		p.unknown = append(p.unknown, u)
	}
	return c, nil
}
