package event

import (
	"encoding/base64"
	"strings"
	"unicode/utf8"
)

// AppendJSON appends the event in structured mode. Data is embedded as it is
// when the content type is JSON and the data too, becomes a string when it is
// text by its content type, and is base64 otherwise, which a receiver always
// turns into the same bytes. Extensions are strings, since their types are not
// known here.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"specversion":"`+SpecVersion+`","id":`...)
	dst = appendQuoted(dst, e.ID)
	dst = appendMember(dst, "source", e.Source)
	dst = appendMember(dst, "type", e.Type)
	if e.Subject != "" {
		dst = appendMember(dst, "subject", e.Subject)
	}
	if e.Time != "" {
		dst = appendMember(dst, "time", e.Time)
	}
	if e.DataContentType != "" {
		dst = appendMember(dst, "datacontenttype", e.DataContentType)
	}
	if e.DataSchema != "" {
		dst = appendMember(dst, "dataschema", e.DataSchema)
	}
	for i := range e.Extensions {
		dst = appendMember(dst, e.Extensions[i].Name, e.Extensions[i].Value)
	}
	if e.Data != nil {
		dst = e.appendData(dst)
	}
	return append(dst, '}')
}

// AppendJSONBatch appends the events in batched mode.
func AppendJSONBatch(dst []byte, events []*Event) []byte {
	dst = append(dst, '[')
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.AppendJSON(dst)
	}
	return append(dst, ']')
}

func appendMember(dst []byte, name, value string) []byte {
	dst = append(dst, ',')
	dst = appendQuoted(dst, name)
	dst = append(dst, ':')
	return appendQuoted(dst, value)
}

func (e *Event) appendData(dst []byte) []byte {
	switch {
	case isJSONType(e.DataContentType) && isJSON(e.Data):
		dst = append(dst, `,"data":`...)
		return append(dst, e.Data...)
	case !isJSONType(e.DataContentType) && isTextType(e.DataContentType) && utf8.Valid(e.Data):
		dst = append(dst, `,"data":`...)
		return appendQuoted(dst, text(e.Data))
	}
	dst = append(dst, `,"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, e.Data)
	return append(dst, '"')
}

// isTextType tells content types whose data are characters in UTF-8. With
// another charset the bytes are not those characters.
func isTextType(contentType string) bool {
	mediaType := mediaTypeOf(contentType)
	kind, subtype, _ := strings.Cut(mediaType, "/")
	isText := strings.EqualFold(kind, "text") || strings.EqualFold(mediaType, "application/xml") ||
		strings.EqualFold(mediaType, "application/x-www-form-urlencoded") ||
		len(subtype) >= 4 && strings.EqualFold(subtype[len(subtype)-4:], "+xml")
	if !isText {
		return false
	}
	parameters := strings.ToLower(contentType[strings.Index(contentType, mediaType)+len(mediaType):])
	_, charset, found := strings.Cut(parameters, "charset=")
	return !found || strings.HasPrefix(strings.Trim(charset, `"`), "utf-8")
}
