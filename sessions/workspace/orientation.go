package workspace

import (
	"encoding/binary"
	"image"
	"image/color"
)

// orientation reads how a camera held a JPEG picture (EXIF 2.32, tag 0x0112): 1 is
// upright. Metadata is dropped when a picture is taken in, so what it says about
// left and right must be in the pixels: a mirrored hand is the wrong hand.
func orientation(b []byte) int {
	const upright = 1
	if len(b) < 4 || b[0] != 0xff || b[1] != 0xd8 {
		return upright
	}
	for i := 2; i+4 <= len(b) && b[i] == 0xff; {
		marker, size := b[i+1], int(binary.BigEndian.Uint16(b[i+2:]))
		if marker == 0xda || size < 2 || i+2+size > len(b) {
			return upright // the picture itself begins, or the file is cut
		}
		if segment := b[i+4 : i+2+size]; marker == 0xe1 && len(segment) > 14 && string(segment[:6]) == "Exif\x00\x00" {
			return tiffOrientation(segment[6:])
		}
		i += 2 + size
	}
	return upright
}

func tiffOrientation(b []byte) int {
	const upright = 1
	var order binary.ByteOrder
	switch string(b[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return upright
	}
	at := int64(order.Uint32(b[4:]))
	if at < 8 || at+2 > int64(len(b)) {
		return upright
	}
	n := int(order.Uint16(b[at:]))
	for i := range n {
		e := at + 2 + int64(i)*12
		if e+12 > int64(len(b)) {
			return upright
		}
		if order.Uint16(b[e:]) == 0x0112 {
			if v := int(order.Uint16(b[e+8:])); v >= 1 && v <= 8 {
				return v
			}
			return upright
		}
	}
	return upright
}

// oriented is a picture seen the way the camera meant it.
type oriented struct {
	image.Image
	how int
}

func (o oriented) Bounds() image.Rectangle {
	b := o.Image.Bounds()
	if o.how >= 5 { // these lie on their side
		return image.Rect(0, 0, b.Dy(), b.Dx())
	}
	return image.Rect(0, 0, b.Dx(), b.Dy())
}

func (o oriented) At(x, y int) color.Color {
	b := o.Image.Bounds()
	w, h := b.Dx()-1, b.Dy()-1
	switch o.how {
	case 2:
		x = w - x
	case 3:
		x, y = w-x, h-y
	case 4:
		y = h - y
	case 5:
		x, y = y, x
	case 6:
		x, y = y, h-x
	case 7:
		x, y = w-y, h-x
	case 8:
		x, y = w-y, x
	}
	return o.Image.At(b.Min.X+x, b.Min.Y+y)
}
