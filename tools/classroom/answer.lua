-- What an answer may not bring along: pictures that are not among its own; links into a document that it is not in; HTML,
-- which would vanish, and with it what stands between < and >. A comment does vanish, as in JupyterLab.
local function comment(raw) return raw.text:match("^<!%-%-") end
local allowed = {}

local function pictures(meta)
  for name in pandoc.utils.stringify(meta.pictures or ""):gmatch("%S+") do allowed[name] = true end
  meta.pictures = nil
  return meta
end

local function image(picture)
  if not allowed[picture.src] then return picture.caption end
  return pandoc.Image({}, picture.src)
end

return {
  { Meta = pictures },
  {
    Image = image,
    Link = function(link) if not link.target:match("^https?://") then return link.content end end,
    RawInline = function(raw) return comment(raw) and {} or pandoc.Str(raw.text) end,
    RawBlock = function(raw) return comment(raw) and {} or pandoc.Para(pandoc.Str(raw.text)) end,
  },
}
